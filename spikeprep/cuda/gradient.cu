// A fully connected layer's gradient and the error that it sends back (docs/hm2bp.md section 4; paper, eq. 17, 22 to 24).
#include "common.cuh"

__device__ __forceinline__ Real warp_sum(Real value) {
    for (int by = 16; by; by /= 2) value += __shfl_xor_sync(ALL, value, by);
    return value;
}

#define IN_FLIGHT 4  // rows of the gradient that a warp has on their way

struct Batch {
    const Real *weight;      // [pre, width]
    const int *event_counts; // [sample of this launch · pre], events by unit
    const Id *lists;
    const Real *gates;       // [sample of this launch, tile, step, lane]
    const int *post_counts;  // [sample, unit]
    const int *steps;        // [sample]
    const Real *delta;       // δ [sample, unit]
    const Real *scale;       // γ, or null
    Real *gradient;          // [group, pre, width]
    Real *sent;              // [tile, sample, pre], or null
    Real *rows;              // [block, pre, lane], or null: in shared memory
    int samples, begin, end; // all samples, and those of this launch
    int pre, longest, stride, units, tiles, groups, buffers;
};

// gradient [group, pre, width] += Σ_b δ γ (1 + σ) e over the group's samples begin ≤ b < end, in order;
// sent [tile, sample, pre] = Σ_lanes δ w ρ for the samples whose δ is not 0 on the tile, others stay as they are.
//
// Block (tile, group). Warp w has the pre neurons w, w + warps, …: it sums the gates' rows at their spikes to e, keeps
// e in `rows`, and once all warps' Σ_j w_ij e_ij have given σ, adds to its rows of the gradient, which no other thread
// ever touches. Gates of the next sample arrive while this one is summed (`buffers` 2) or added (1).
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

    auto moving = [&](int b) {  // the first sample from b on whose error on this tile is not 0
        for (; b < last; ++b)
            if (__any_sync(ALL, live && a.delta[(size_t)b * a.units + unit] != 0)) break;
        return b;
    };
    auto gates_of = [&](int b) { return a.gates + ((size_t)(b - a.begin) * a.tiles + tile) * buffer; };
    auto stage = [&](int b, Real *to) {
        const char *from = reinterpret_cast<const char *>(gates_of(b));
        int bytes = a.steps[b] * LANES * (int)sizeof(Real);
        for (int at = threadIdx.x * 16; at < bytes; at += blockDim.x * 16)
            copy_async(reinterpret_cast<char *>(to) + at, from + at);
    };

    bool summed = false;
    Real fan_in = 0;  // Σ_l w_il, asked for by silent neurons only
    int b = moving(first), turn = 0;
    if (GATES && b < last) stage(b, buffers);
    while (b < last) {
        int next = moving(b + 1);
        Real *now = buffers + (a.buffers == 2 ? turn * buffer : 0);
        if (GATES) copies_done();
        __syncthreads();  // the gates of b are here, and nobody is busy with b − 1 any more
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
            int mine = from + lane * warps + warp;
            int own_count = mine < a.pre ? event_counts[mine] : 0;
            Word active = __ballot_sync(ALL, own_count > 0);
            int k = active ? __ffs(active) - 1 : 0, j = from + k * warps + warp;
            Ids ids = active ? first_ids(lists + (size_t)j * a.stride) : Ids{};
            while (active) {
                active &= active - 1;
                int count = __shfl_sync(ALL, own_count, k);
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
            Real slope = live ? a.delta[pair] * (1 + share * psp.inverse_nu) : 0;
            slopes[lane] = live && a.scale ? slope * a.scale[pair] : slope;
        }
        __syncthreads();
        Real slope = slopes[lane];
        for (int from = 0; from < a.pre; from += 32 * warps) {
            int mine = from + lane * warps + warp;
            Word active = __ballot_sync(ALL, mine < a.pre && event_counts[mine] > 0);
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

#define GRADIENT(NAME, GATES, ROWS)                                                          \
    extern "C" __global__ void __launch_bounds__(1024) NAME(                                 \
        const Real *weight, const int *event_counts, const Id *lists, const Real *gates,     \
        const int *post_counts, const int *steps, const Real *delta, const Real *scale,      \
        int scaled, Real *gradient_sums, Real *sent, int sends, Real *rows, Psp psp,         \
        int samples, int begin, int end, int pre, int longest, int stride, int units,        \
        int tiles, int groups, int buffers) {                                                \
        extern __shared__ __align__(16) unsigned char memory[];                              \
        Batch batch = {weight, event_counts, lists, gates, post_counts, steps, delta,        \
                       scaled ? scale : nullptr, gradient_sums, sends ? sent : nullptr,      \
                       rows, samples, begin, end, pre, longest, stride, units, tiles,        \
                       groups, buffers};                                                     \
        gradient<GATES, ROWS>(batch, psp, memory);                                           \
    }

GRADIENT(dense_gradient, true, true)
GRADIENT(dense_gradient_rows_apart, true, false)   // e in global memory
GRADIENT(dense_gradient_all_apart, false, false)   // gates too

// sums [sample, pre] = Σ_tiles sent [tile, sample, pre], tiles in order.
extern "C" __global__ void sum_tiles(const Real *sent, Real *sums, long long count, int tiles) {
    for (long long n = blockIdx.x * (long long)blockDim.x + threadIdx.x; n < count; n += (long long)gridDim.x * blockDim.x) {
        Real sum = 0;
        for (int tile = 0; tile < tiles; ++tile) sum += sent[tile * count + n];
        sums[n] = sum;
    }
}
