// Gradient of a fully connected layer that sends no error back, as products of its active input and its gates on tensor
// cores (docs/cuda.md; docs/hm2bp.md sections 4 and 8). Only float32.
//
// e [pre, post] = S [pre, step] · G [step, post] for the pre neurons of a sample that fire. Bits of S become halves in
// registers; gates are made in the kernel and kept as a high and a low half. Gates are at most a few units, so that the
// low half needs no scale: what it leaves out is below 2^-25, or 2^-22 of the gate.
#include "gate.cuh"
#include "gradient.cuh"
#include "halves.cuh"

#define ROWS 32       // pre neurons that a warp multiplies at a time: two fragments of 16
#define STEPS 32      // steps of gates that a warp makes at a time: two fragments of 16
#define MAX_WARPS 20  // of a block, 640 threads: 96 registers for each

// A product's sum over steps may be in any order. Here the steps of word w, 32 w + k, are in two fragments: q = 0 … 7 and
// 16 … 23, and 8 … 15 and 24 … 31. Steps q and q + 16 are the two halves of a register, so that a rotation of the word and
// one mask make both spikes halves: bit 10 alone is 2^-14.
#define SPIKE_BITS 0x04000400u
#define SPIKE_SCALE 16384.0f

// Gates of STEPS steps × LANES neurons, as `add_product` takes them: [fragment, eight neurons, lane, word], words 0 and 1
// of the high halves, 2 and 3 of the low ones. Lanes and words are permuted for fewer conflicts of banks.
#define FRAGMENT_WORDS (LANES * 16)
#define SEGMENT_WORDS (2 * FRAGMENT_WORDS)

__device__ __forceinline__ int place_of(int lane) { return lane ^ lane >> 3; }
__device__ __forceinline__ int high_word(int eight) { return 2 * (eight & 1); }  // the first of the high halves

// Make the gates of the steps from STEPS · segment on. All lanes of a warp have the same length.
__device__ __forceinline__ void make_gates(
    GateScan &scan, int segment, int length, const Psp &psp, const Real *decays, int longest, Half *to) {
    int lane = threadIdx.x & 31, eight = lane >> 3, first = STEPS * segment + psp.refractory;
    if (first + STEPS < length) scan.start_below(first + STEPS, psp, decays, longest);
    scan.enter(first, psp);
    to += 2 * (segment * SEGMENT_WORDS + eight * 128);
    int high = 2 * high_word(eight), apart = 4 - 2 * high, places[4];
#ifdef FOR_GPU
    asm("" : "+r"(apart));  // the compiler would compute it again for every step
#endif
#pragma unroll
    for (int t = 0; t < 4; ++t) places[t] = 8 * place_of((lane & 7) * 4 + t) + high;
    auto store = [&](Half *at, float gate) {
        Word both = halves_of(gate, 0);
        at[0] = (Half)both;
        at[apart] = (Half)halves_of(gate - from_half((Half)both), 0);
    };
    // of steps past the last one no firing follows: their gates come out as 0
#pragma unroll 1
    for (int four = STEPS - 4; four >= 0; four -= 4) {
        Half *group = to + 2 * ((four >> 3 & 1) * FRAGMENT_WORDS + (four >> 2 & 1)) + (four >> 4);
        Word fires = scan.here >> four, leaves = scan.far >> four;
#pragma unroll
        for (int t = 3; t >= 0; --t)
            store(group + places[t], scan.step(four + t, fires & 1u << t, leaves & 1u << t, psp));
    }
    if (segment == 0) store(to + places[0], 0);  // a spike at step 0 counts for nothing
}

// ROWS active pre neurons of a sample and their e. The lane's are rows 8 r + lane / 4, with the post neurons
// 8 n + 2 (lane & 3) of the tile and the next.
struct Product {
    float e[2][4][4];  // [r / 2, n, 2 (r & 1) + neuron]

    // e = S · G; trains [pre, word] and order [pre] of the sample. Rows past the last active neuron repeat it.
    __device__ __forceinline__ void multiply(
        const Word *trains, int words, const int *order, int first, int active, int length, const Word *gates) {
        int lane = threadIdx.x & 31, used = (length + 31) >> 5;
        gates += place_of(lane) * 4;
#ifdef FOR_GPU
        asm("" : "+l"(trains));  // the compiler would add the sample's offset again for every word
#endif
        unsigned int at[4];
#pragma unroll
        for (int r = 0; r < 4; ++r) at[r] = (unsigned int)order[min(first + 8 * r + (lane >> 2), active - 1)] * words;
#pragma unroll
        for (int k = 0; k < 32; ++k) e[k >> 4][k >> 2 & 3][k & 3] = 0;
#pragma unroll 1
        for (int w = 0; w < used; ++w) {
            Word now[4];
#pragma unroll
            for (int r = 0; r < 4; ++r) {
                Word word = trains[at[r]++];
                now[r] = __funnelshift_r(word, word, (lane & 3) - 10);
            }
#pragma unroll 1  // both at once would need more registers than there are
            for (int q = 0; q < 16; q += 8, gates += FRAGMENT_WORDS) {
                Word spikes[2][4];
#pragma unroll
                for (int k = 0; k < 8; ++k) {
                    Word word = now[2 * (k >> 2) + (k & 1)];
                    spikes[k >> 2][k & 3] = __funnelshift_r(word, word, q + 4 * (k >> 1 & 1)) & SPIKE_BITS;
                }
#pragma unroll
                for (int n = 0; n < 4; ++n) {
                    uint4 four = *reinterpret_cast<const uint4 *>(gates + 128 * n);
                    Word gate[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
                    for (int k = 0; k < 4; ++k) {  // both high products, then both low ones
                        int at = (k & 2) ^ high_word(n);
                        add_product(e[k & 1][n], spikes[k & 1], gate[at], gate[at + 1]);
                    }
                }
            }
        }
#pragma unroll
        for (int k = 0; k < 32; ++k) e[k >> 4][k >> 2 & 3][k & 3] *= SPIKE_SCALE;
    }

    // Write Σ w e over the rows to `sums` [lane], or add it; weight [pre, width] from the tile on.
    __device__ __forceinline__ void sum_weighted(
        const float *weight, int width, const int *order, int first, int active, bool add, Real *to) const {
        int lane = threadIdx.x & 31;
        float sums[4][2] = {};
#pragma unroll
        for (int r = 0; r < 4; ++r) {
            int place = first + 8 * r + (lane >> 2);
            if (place >= active) continue;
            const float *row = weight + (size_t)order[place] * width + 2 * (lane & 3);
#pragma unroll
            for (int n = 0; n < 4; ++n) {
                float2 w = *reinterpret_cast<const float2 *>(row + 8 * n);
                sums[n][0] += w.x * e[r >> 1][n][2 * (r & 1)];
                sums[n][1] += w.y * e[r >> 1][n][2 * (r & 1) + 1];
            }
        }
#pragma unroll
        for (int k = 0; k < 8; ++k) {
            float sum = sums[k >> 1][k & 1];
            for (int by = 4; by < 32; by *= 2) sum += __shfl_xor_sync(ALL, sum, by);
            Real *at = to + 8 * (k >> 1) + 2 * (lane & 3) + (k & 1);
            if (lane < 4) *at = add ? *at + sum : sum;
        }
    }

    // out [pre, width], from the tile on, += slope · e. `slope` is that of the tile's neuron `lane`; bit k of `silent`: e
    // of neuron k is silent_psp.
    __device__ __forceinline__ void add_to(
        float *out, int width, const int *order, int first, int active, float slope, Word silent,
        float silent_psp) const {
        int lane = threadIdx.x & 31;
        silent >>= 2 * (lane & 3);
        float slopes[4][2];
#pragma unroll
        for (int k = 0; k < 8; ++k)
            slopes[k >> 1][k & 1] = __shfl_sync(ALL, slope, 8 * (k >> 1) + 2 * (lane & 3) + (k & 1));
#pragma unroll
        for (int r = 0; r < 4; ++r) {
            int place = first + 8 * r + (lane >> 2);
            if (place >= active) continue;
            float *row = out + (size_t)order[place] * width + 2 * (lane & 3);
#pragma unroll
            for (int n = 0; n < 4; ++n) {
                float2 *at = reinterpret_cast<float2 *>(row + 8 * n), total = *at;
                total.x += slopes[n][0] * (silent >> 8 * n & 1 ? silent_psp : e[r >> 1][n][2 * (r & 1)]);
                total.y += slopes[n][1] * (silent >> 8 * n & 2 ? silent_psp : e[r >> 1][n][2 * (r & 1) + 1]);
                *at = total;
            }
        }
    }
};

// gradient_sums [group, pre, width] += Σ_b δ γ (1 + σ) e over the group's samples begin ≤ b < end, in order.
//   weight          [pre, width]                    in
//   pre_trains      [sample of this launch, pre, word]   in
//   order           [sample of this launch, pre], active [sample of this launch]   in: of `order_units`
//   post_trains     [sample, unit, word]            in
//   post_counts     [sample, unit]                  in
//   lengths         [sample]                        in
//   leaving, decays                                 in: see GateScan
//   error           [sample, unit]                  in: d = ∂E/∂o; δ = d/ν
//   scale           [sample, unit]                  in if `scaled`: γ
//   scaled
//   gradient_sums   [group, pre, width]             added to
//   psp                                             constants
//   gain_floor                                      1 + σ is at least this; −∞: no floor
//   samples, begin, end, pre, longest, units, words, tiles, groups
//
// Grid: tiles · groups. Dynamic shared memory: gates of two samples, SEGMENT_WORDS for each STEPS steps.
//
// For each sample with an error on the tile some warps multiply ROWS active pre neurons with the gates each, while the
// others make the next sample's gates. After the barrier the former know σ and add their e, which they hold, to the
// gradient. Warps take these parts in turn. What a warp cannot hold it multiplies again.
extern "C" __global__ void __launch_bounds__(640) dense_gradient_products(
    const float *weight, const Word *pre_trains, const int *order, const int *active, const Word *post_trains,
    const int *post_counts, const int *lengths, const Real *leaving, const Real *decays, const float *error,
    const float *scale, int scaled, float *gradient_sums, Psp psp, float gain_floor, int samples, int begin, int end,
    int pre, int longest, int units, int words, int tiles, int groups) {
    extern __shared__ __align__(16) unsigned char memory[];
    __shared__ Real parts[2][MAX_WARPS][LANES];
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    int tile = blockIdx.x % tiles, width = tiles * LANES, unit = tile * LANES + lane;
    bool live = unit < units;
    Group share_of(blockIdx.x / tiles, groups, samples, begin, end);
    int first = share_of.first, last = share_of.last;
    auto gates = [&](int turn) { return reinterpret_cast<Word *>(memory) + turn * words * SEGMENT_WORDS; };
    auto out = [&] { return gradient_sums + (size_t)(blockIdx.x / tiles) * pre * width + tile * LANES; };

    auto next_sample = [&](int b) {  // the first sample from b on with an error other than 0 on this tile
        while (b < last && !__any_sync(ALL, live && error[(size_t)b * units + unit] != 0)) ++b;
        return b;
    };
    Real fan_in = silent_fan_in(
        share_of, post_counts, unit, units, reinterpret_cast<const Real *>(weight) + unit, pre, width, parts[0]);

    // in the first turn gates alone are made
    for (int b = -1, next = next_sample(first), turn = 1, slot = warp; b >= 0 || next < last; turn = 1 - turn) {
        int count = b < 0 ? 0 : active[b - begin], blocks = (count + ROWS - 1) / ROWS, busy = min(blocks, warps);
        if (next < last) {
            int segments = (lengths[next] + STEPS - 1) / STEPS;
            const Word *train = post_trains + ((size_t)next * units + (live ? unit : 0)) * words;
            for (int segment = (slot - busy + warps) % warps; segment < segments; segment += warps) {
                GateScan scan(train, words, live, psp, leaving);
                make_gates(
                    scan, segment, lengths[next], psp, decays, longest, reinterpret_cast<Half *>(gates(1 - turn)));
            }
        }
        const int *units_of = order + (size_t)(b - begin) * pre;
        const Word *trains = pre_trains + (size_t)(b - begin) * pre * words;
        Product product;
        float slope = 0;
        Word silent = 0;
        // rounds 0, 1, …, last; after the barrier last, …, 1, 0
        for (int step = 0, rounds = max((blocks + warps - 1) / warps, 1); step < 2 * rounds - 1; ++step) {
            int at = (slot + warps * min(step, 2 * rounds - 2 - step)) * ROWS;
            if (at < count) product.multiply(trains, words, units_of, at, count, lengths[b], gates(turn));
            if (step < rounds && at < count)
                product.sum_weighted(weight + tile * LANES, width, units_of, at, count, step > 0, parts[turn][slot]);
            if (step == rounds - 1) {
                // then all parts are there, the next sample's gates too, and of one round this one's are no longer read
                __syncthreads();
                if (slot < busy) {
                    size_t pair = (size_t)b * units + unit;
                    int fired = live ? post_counts[pair] : 0;
                    Real sum = 0, delta = live ? error[pair] / psp.nu : 0;
                    for (int s = 0; s < busy; ++s) sum += parts[turn][s][lane];
                    slope = slope_of(delta, fired ? sum / (Real)fired : psp.silent_share * fan_in, gain_floor, psp);
                    if (live && scaled) slope *= scale[pair];
                    silent = __ballot_sync(ALL, fired == 0);
                }
            }
            if (step >= rounds - 1 && at < count)
                product.add_to(out(), width, units_of, at, count, slope, silent, psp.silent_psp);
        }
        if (blocks > warps) __syncthreads();  // this sample's gates were read again
        slot = (slot + busy) % warps;  // those that multiplied make gates next
        b = next < last ? next : -1;
        if (next < last) next = next_sample(next + 1);
    }
}
