// Gradient of a fully connected layer and the error that it sends back (docs/hm2bp.md section 4; paper, eq. 17, 22 to 24).
#include "gradient.cuh"

// rows of the gradient that a warp loads at once
#ifdef ASYNC_COPIES
#define IN_FLIGHT 4
#else
#define IN_FLIGHT 3  // Turing has no registers for more
#endif

struct Batch {
    const Real *weight;      // [pre, width]
    const int *event_counts; // [sample of this launch · pre], events by unit
    const Id *lists;
    const int *order;        // [sample of this launch · pre], see order_units
    const Real *gates;       // [sample of this launch, tile, step, lane]
    const int *post_counts;  // [sample, unit]
    const int *lengths;      // [sample]
    const Real *error;       // d = ∂E/∂o [sample, unit]; δ = d/ν
    const Real *scale;       // γ, or null
    Real *gradient;          // [group, pre, width]
    Real *sent;              // [tile, sample, pre], or null
    Real *rows;              // [block, pre, lane], or null: in shared memory
    Real gain_floor;         // 1 + σ is at least this; −∞: no floor
    int samples, begin, end; // all samples, and those of this launch
    int pre, longest, stride, units, tiles, groups, buffers;
};

// gradient [group, pre, width] += Σ_b δ γ (1 + σ) e over the group's samples begin ≤ b < end, in order;
// sent [tile, sample, pre] = Σ_lanes δ w ρ, 0 for samples without an error on the tile.
//
// Block (tile, group). A sample's pre neurons are in the order of `order_units`, active ones first; warp w has every
// warps-th of them, so that all warps sum about as many events. It sums the gates at their spikes to e and stores e in
// `rows`, one per place in that order. After the barrier, every warp adds up the Σ_j w_ij e_ij of all warps to σ, and adds
// to the gradient's rows of its own neurons. The gates of the next sample have then arrived, and those of the one after
// are copied (`buffers` 2); with one buffer, the next sample's are copied while this one is added.
// GATES, ROWS: whether gates and rows are in shared memory.
template <bool GATES, bool ROWS>
__device__ __forceinline__ void gradient(const Batch &a, const Psp &psp, unsigned char *memory) {
    __shared__ Real parts[2][32][LANES];
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    int tile = blockIdx.x % a.tiles, group = blockIdx.x / a.tiles, width = a.tiles * LANES;
    int unit = tile * LANES + lane;
    bool live = unit < a.units;
    Group share_of(group, a.groups, a.samples, a.begin, a.end);
    int first = share_of.first, last = share_of.last;
    Real *buffers = reinterpret_cast<Real *>(memory);
    size_t buffer = (size_t)a.longest * LANES;
    Real *rows = ROWS ? buffers + (GATES ? a.buffers * buffer : 0) : a.rows + (size_t)blockIdx.x * a.pre * LANES;
    rows += lane;
    const Real *weight = a.weight + tile * LANES + lane;
    Real *out = a.gradient + (size_t)group * a.pre * width + tile * LANES + lane;

    auto next_sample = [&](int b) {  // the first sample from b on with an error other than 0 on this tile
        for (; b < last; ++b) {
            if (__any_sync(ALL, live && a.error[(size_t)b * a.units + unit] != 0)) break;
            if (!a.sent) continue;
            Real *sent = a.sent + ((size_t)tile * a.samples + b) * a.pre;
            for (int j = threadIdx.x; j < a.pre; j += blockDim.x) sent[j] = 0;
        }
        return b;
    };
    auto gates_of = [&](int b) { return a.gates + ((size_t)(b - a.begin) * a.tiles + tile) * buffer; };
    auto stage = [&](int b, Real *to) {
        const char *from = reinterpret_cast<const char *>(gates_of(b));
        int bytes = a.lengths[b] * LANES * (int)sizeof(Real);
        for (int at = threadIdx.x * 16; at < bytes; at += blockDim.x * 16)
            copy_async(reinterpret_cast<char *>(to) + at, from + at);
    };
    // the warp's place in its `round`: alternately from the front and from the back, as counts descend
    auto place_in = [&](int round) { return round * warps + (round & 1 ? warps - 1 - warp : warp); };

    Real fan_in = silent_fan_in(share_of, a.post_counts, unit, a.units, weight, a.pre, width, parts[0]);

    int b = next_sample(first), next = b < last ? next_sample(b + 1) : last, turn = 0;
    if (GATES) {
        if (b < last) stage(b, buffers);
        if (a.buffers == 2 && next < last) stage(next, buffers + buffer);
        copies_done();
        __syncthreads();
    }
    while (b < last) {
        Real *now = buffers + (a.buffers == 2 ? turn * buffer : 0);
        Rows<LANES, GATES> table(GATES ? now : gates_of(b), lane, LANES);
        size_t pair = (size_t)b * a.units + unit;
        int fired = live ? a.post_counts[pair] : 0;
        bool silent = fired == 0;
        size_t events = (size_t)(b - a.begin) * a.pre;
        const int *event_counts = a.event_counts + events, *order = a.order + events;
        const Id *lists = a.lists + events * a.stride;
        Real weighted = 0;
        for (int from = 0; from < a.pre; from += 32 * warps) {
            int place = from + place_in(lane), unit_of_lane = place < a.pre ? order[place] : 0;
            int count_of_lane = place < a.pre ? event_counts[unit_of_lane] : 0;
            Word active = __ballot_sync(ALL, count_of_lane > 0);
            if (!active) break;  // nor is any that follows
            int k = 0, j = __shfl_sync(ALL, unit_of_lane, k);
            Ids ids = first_ids(lists + (size_t)j * a.stride);
            while (active) {
                active &= active - 1;
                int count = __shfl_sync(ALL, count_of_lane, k), at = from + place_in(k);
                const Id *list = lists + (size_t)j * a.stride;
                Real w = weight[(size_t)j * width];
                Ids now_ids = ids;
                if (active) {
                    k = __ffs(active) - 1;
                    j = __shfl_sync(ALL, unit_of_lane, k);
                    ids = first_ids(lists + (size_t)j * a.stride);
                }
                Real e = sum_rows<1>(table, list, count, now_ids).at[0];
                if (silent) e = psp.silent_psp;
                rows[(size_t)at * LANES] = e;
                weighted += w * e;
            }
        }
        parts[turn][warp][lane] = weighted;
        if (GATES && a.buffers == 2) copies_done();
        __syncthreads();  // all parts are there, the next sample's gates too, and this one's are no longer read
        int after = next < last ? next_sample(next + 1) : last;
        if (GATES && a.buffers == 2 && after < last) stage(after, now);
        if (GATES && a.buffers == 1 && next < last) stage(next, now);
        Real sum = 0;
#pragma unroll 8
        for (int w = 0; w < warps; ++w) sum += parts[turn][w][lane];
        Real share = silent ? psp.silent_share * fan_in : sum / (Real)fired;
        Real delta = live ? a.error[pair] / psp.nu : 0;
        Real slope = slope_of(delta, share, a.gain_floor, psp);
        if (live && a.scale) slope *= a.scale[pair];
        for (int from = 0; from < a.pre; from += 32 * warps) {
            int place = from + place_in(lane), unit_of_lane = place < a.pre ? order[place] : 0;
            Word active = __ballot_sync(ALL, place < a.pre && event_counts[unit_of_lane] > 0);
            if (!active) break;
            while (active) {
                Real *at[IN_FLIGHT];
                Real total[IN_FLIGHT];
#pragma unroll
                for (int q = 0; q < IN_FLIGHT; ++q) {
                    at[q] = nullptr;
                    if (!active) continue;
                    int k = __ffs(active) - 1;
                    active &= active - 1;
                    at[q] = out + (size_t)__shfl_sync(ALL, unit_of_lane, k) * width;
                    total[q] = *at[q] + slope * rows[(size_t)(from + place_in(k)) * LANES];
                }
#pragma unroll
                for (int q = 0; q < IN_FLIGHT; ++q)
                    if (at[q]) *at[q] = total[q];
            }
        }
        if (a.sent) {
            Real *sent = a.sent + ((size_t)tile * a.samples + b) * a.pre;
            for (int round = 0, at = place_in(0); round * warps < a.pre; at = place_in(++round)) {
                if (at >= a.pre) continue;
                int j = order[at], count = event_counts[j];
                Real ratio = silent || count == 0 ? psp.silent_ratio : rows[(size_t)at * LANES] / (Real)count;
                Real error = warp_sum(delta * weight[(size_t)j * width] * ratio);
                if (lane == 0) sent[j] = error;
            }
        }
        if (GATES && a.buffers == 1) {
            copies_done();
            __syncthreads();
        }
        b = next;
        next = after;
        turn = 1 - turn;
    }
}

// Gradient and error sent back. The three kernels take the same arguments:
//   weight          [pre, width]                 in
//   event_counts    [sample of this launch · pre], lists [sample of this launch · pre, stride]   in: input by unit
//   order           [sample of this launch · pre]   in: of `order_units`
//   gates           [sample of this launch, tile, step, lane]   in
//   post_counts     [sample, unit]               in
//   lengths         [sample]                     in
//   error           [sample, unit]               in: d = ∂E/∂o; δ = d/ν
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
        const Real *weight, const int *event_counts, const Id *lists, const int *order,      \
        const Real *gates, const int *post_counts, const int *lengths, const Real *error, const Real *scale,    \
        int scaled, Real *gradient_sums, Real *sent, int sends, Real *rows, Psp psp,         \
        Real gain_floor,                                                                     \
        int samples, int begin, int end, int pre, int longest, int stride, int units,        \
        int tiles, int groups, int buffers) {                                                \
        extern __shared__ __align__(16) unsigned char memory[];                              \
        Batch batch = {weight, event_counts, lists, order, gates, post_counts, lengths, error,\
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
