// Gradient of a fully connected layer and the error that it sends back (docs/hm2bp.md section 4; paper, eq. 17, 22 to 24).
#include "common.cuh"

__device__ __forceinline__ Real warp_sum(Real value) {
    for (int by = 16; by; by /= 2) value += __shfl_xor_sync(ALL, value, by);
    return value;
}

#define IN_FLIGHT 4  // rows of the gradient that a warp loads at once

struct Batch {
    const Real *weight;      // [pre, width]
    const int *event_counts; // [sample of this launch · pre], events by unit
    const Id *lists;
    const Real *gates;       // [sample of this launch, tile, step, lane]
    const int *post_counts;  // [sample, unit]
    const int *lengths;      // [sample]
    const Real *delta;       // δ [sample, unit]
    const Real *scale;       // γ, or null
    Real *gradient;          // [group, pre, width]
    Real *sent;              // [tile, sample, pre], or null
    Real *rows;              // [block, pre, lane], or null: in shared memory
    Real gain_floor;         // 1 + σ is at least this; −∞: no floor
    int samples, begin, end; // all samples, and those of this launch
    int pre, longest, stride, units, tiles, groups, buffers;
};

// gradient [group, pre, width] += Σ_b δ γ (1 + σ) e over the group's samples begin ≤ b < end, in order;
// sent [tile, sample, pre] = Σ_lanes δ w ρ for samples with a δ other than 0 on the tile, others are not written.
//
// Block (tile, group). Warp w has the pre neurons w, w + warps, …. It sums the gates at their spikes to e and stores e in
// `rows`. When the Σ_j w_ij e_ij of all warps have been added up to σ, it adds to its rows of the gradient, which no
// other thread accesses. The next sample's gates are copied while this one is summed (`buffers` 2) or added (1).
// GATES, ROWS: whether gates and rows are in shared memory.
template <bool GATES, bool ROWS>
__device__ __forceinline__ void gradient(const Batch &a, const Psp &psp, unsigned char *memory) {
    __shared__ Real parts[2][32][LANES], slopes[LANES];
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    int tile = blockIdx.x % a.tiles, group = blockIdx.x / a.tiles, width = a.tiles * LANES;
    int unit = tile * LANES + lane;
    bool live = unit < a.units;
    int first = max(a.begin, (int)((long long)a.samples * group / a.groups));
    int last = min(a.end, (int)((long long)a.samples * (group + 1) / a.groups));
    Real *buffers = reinterpret_cast<Real *>(memory);
    size_t buffer = (size_t)a.longest * LANES;
    Real *rows = ROWS ? buffers + (GATES ? a.buffers * buffer : 0) : a.rows + (size_t)blockIdx.x * a.pre * LANES;
    rows += lane;
    const Real *weight = a.weight + unit;
    Real *out = a.gradient + (size_t)group * a.pre * width + unit;

    auto next_sample = [&](int b) {  // the first sample from b on with an error other than 0 on this tile
        for (; b < last; ++b)
            if (__any_sync(ALL, live && a.delta[(size_t)b * a.units + unit] != 0)) break;
        return b;
    };
    auto gates_of = [&](int b) { return a.gates + ((size_t)(b - a.begin) * a.tiles + tile) * buffer; };
    auto stage = [&](int b, Real *to) {
        const char *from = reinterpret_cast<const char *>(gates_of(b));
        int bytes = a.lengths[b] * LANES * (int)sizeof(Real);
        for (int at = threadIdx.x * 16; at < bytes; at += blockDim.x * 16)
            copy_async(reinterpret_cast<char *>(to) + at, from + at);
    };

    bool summed = false;
    Real fan_in = 0;  // Σ_l w_il, needed by silent neurons only
    int b = next_sample(first), turn = 0;
    if (GATES && b < last) stage(b, buffers);
    while (b < last) {
        int next = next_sample(b + 1);
        Real *now = buffers + (a.buffers == 2 ? turn * buffer : 0);
        if (GATES) copies_done();
        __syncthreads();  // the gates of b have arrived, and all warps have finished b − 1
        if (GATES && a.buffers == 2 && next < last) stage(next, buffers + (1 - turn) * buffer);
        Rows<LANES, GATES> table(GATES ? now : gates_of(b), lane, LANES);

        size_t pair = (size_t)b * a.units + unit;
        int fired = live ? a.post_counts[pair] : 0;
        bool silent = fired == 0;
        size_t events = (size_t)(b - a.begin) * a.pre;
        const int *event_counts = a.event_counts + events;
        const Id *lists = a.lists + events * a.stride;
        Real weighted = 0, total = 0;
        bool sums_fan_in = !summed && __any_sync(ALL, live && silent);
        for (int from = 0; from < a.pre; from += 32 * warps) {
            int unit_of_lane = from + lane * warps + warp;
            int count_of_lane = unit_of_lane < a.pre ? event_counts[unit_of_lane] : 0;
            Word active = __ballot_sync(ALL, count_of_lane > 0);
            int k = active ? __ffs(active) - 1 : 0, j = from + k * warps + warp;
            Ids ids = active ? first_ids(lists + (size_t)j * a.stride) : Ids{};
            while (active) {
                active &= active - 1;
                int count = __shfl_sync(ALL, count_of_lane, k);
                const Id *list = lists + (size_t)j * a.stride;
                int next_j = j;
                Ids next_ids = ids;
                if (active) {
                    k = __ffs(active) - 1;
                    next_j = from + k * warps + warp;
                    next_ids = first_ids(lists + (size_t)next_j * a.stride);
                }
                Real w = weight[(size_t)j * width];
                Real e = sum_rows<1>(table, list, count, ids).at[0];
                if (silent) e = psp.silent_psp;
                rows[(size_t)j * LANES] = e;
                weighted += w * e;
                j = next_j;
                ids = next_ids;
            }
            if (sums_fan_in)
                for (int j = from + warp; j < min(a.pre, from + 32 * warps); j += warps)
                    total += weight[(size_t)j * width];
        }
        parts[0][warp][lane] = weighted;
        parts[1][warp][lane] = total;
        __syncthreads();
        if (GATES && a.buffers == 1 && next < last) stage(next, buffers);
        if (sums_fan_in)
            for (int w = 0; w < warps; ++w) fan_in += parts[1][w][lane];
        summed |= sums_fan_in;
        if (warp == 0) {
            Real sum = 0;
#pragma unroll 8
            for (int w = 0; w < warps; ++w) sum += parts[0][w][lane];
            Real share = silent ? psp.silent_share * fan_in : sum / (Real)fired;
            Real gain = 1 + share * psp.inverse_nu;
            Real slope = live ? a.delta[pair] * (gain < a.gain_floor ? a.gain_floor : gain) : 0;
            slopes[lane] = live && a.scale ? slope * a.scale[pair] : slope;
        }
        __syncthreads();
        Real slope = slopes[lane];
        for (int from = 0; from < a.pre; from += 32 * warps) {
            int unit_of_lane = from + lane * warps + warp;
            Word active = __ballot_sync(ALL, unit_of_lane < a.pre && event_counts[unit_of_lane] > 0);
            while (active) {
                Real *at[IN_FLIGHT];
                Real sum[IN_FLIGHT];
#pragma unroll
                for (int q = 0; q < IN_FLIGHT; ++q) {
                    at[q] = nullptr;
                    if (!active) continue;
                    int j = from + (__ffs(active) - 1) * warps + warp;
                    active &= active - 1;
                    at[q] = out + (size_t)j * width;
                    sum[q] = *at[q] + slope * rows[(size_t)j * LANES];
                }
#pragma unroll
                for (int q = 0; q < IN_FLIGHT; ++q)
                    if (at[q]) *at[q] = sum[q];
            }
        }
        if (a.sent) {
            Real error = live ? a.delta[pair] : 0;
            Real *sent = a.sent + ((size_t)tile * a.samples + b) * a.pre;
            for (int j = warp; j < a.pre; j += warps) {
                int count = event_counts[j];
                Real ratio = silent || count == 0 ? psp.silent_ratio : rows[(size_t)j * LANES] / (Real)count;
                Real sum = warp_sum(error * weight[(size_t)j * width] * ratio);
                if (lane == 0) sent[j] = sum;
            }
        }
        b = next;
        turn = 1 - turn;
    }
}

// Gradient and error sent back. The three kernels take the same arguments:
//   weight          [pre, width]                 in
//   event_counts    [sample of this launch · pre], lists [sample of this launch · pre, stride]   in: input by unit
//   gates           [sample of this launch, tile, step, lane]   in
//   post_counts     [sample, unit]               in
//   lengths         [sample]                     in
//   delta           [sample, unit]               in: δ
//   scale           [sample, unit]               in if `scaled`: γ
//   scaled
//   gradient_sums   [group, pre, width]          added to
//   sent            [tile, sample, pre]          out if `sends`, see above
//   sends
//   rows            [block, pre, lane]           scratch, if not in shared memory
//   psp                                          constants
//   gain_floor                                   1 + σ is at least this; −∞: no floor
//   samples, begin, end, pre, longest, stride, units, tiles, groups, buffers
// Grid: tiles · groups. Dynamic shared memory: `buffers` · longest · LANES gates, then pre · LANES rows.
#define GRADIENT(NAME, GATES, ROWS)                                                          \
    extern "C" __global__ void __launch_bounds__(1024) NAME(                                 \
        const Real *weight, const int *event_counts, const Id *lists, const Real *gates,     \
        const int *post_counts, const int *lengths, const Real *delta, const Real *scale,    \
        int scaled, Real *gradient_sums, Real *sent, int sends, Real *rows, Psp psp,         \
        Real gain_floor,                                                                     \
        int samples, int begin, int end, int pre, int longest, int stride, int units,        \
        int tiles, int groups, int buffers) {                                                \
        extern __shared__ __align__(16) unsigned char memory[];                              \
        Batch batch = {weight, event_counts, lists, gates, post_counts, lengths, delta,      \
                       scaled ? scale : nullptr, gradient_sums, sends ? sent : nullptr,      \
                       rows, gain_floor, samples, begin, end, pre, longest, stride, units,   \
                       tiles, groups, buffers};                                              \
        gradient<GATES, ROWS>(batch, psp, memory);                                           \
    }

GRADIENT(dense_gradient, true, true)
GRADIENT(dense_gradient_rows_apart, true, false)   // e in global memory
GRADIENT(dense_gradient_all_apart, false, false)   // gates too

// Add up the errors that the tiles send, tiles in order; writes with `=`.
//   sent   [tile, sample, pre]   in
//   sums   [sample, pre]         out
//   count (sample · pre), tiles
extern "C" __global__ void sum_tiles(const Real *sent, Real *sums, long long count, int tiles) {
    for (long long n = blockIdx.x * (long long)blockDim.x + threadIdx.x; n < count; n += (long long)gridDim.x * blockDim.x) {
        Real sum = 0;
        for (int tile = 0; tile < tiles; ++tile) sum += sent[tile * count + n];
        sums[n] = sum;
    }
}
