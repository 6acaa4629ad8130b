// Neurons under a given drive (docs/hm2bp.md section 1); the drive of step t arrives at t + 1. All kernels write with
// `=`: all elements of the spikes, and counts.
#include "common.cuh"

#define AHEAD 8  // steps of drive that are loaded ahead

// The outputs of one sample's tile.
struct Output {
    Word *train, *masks;
    int *count;
    bool live;

    __device__ __forceinline__ Output(
        Word *by_unit, Word *by_step, int *counts, int sample, int tile, int lane, int longest, int units, int words,
        int tiles) {
        int unit = tile * LANES + lane;
        live = unit < units;
        size_t row = (size_t)sample * units + unit;
        train = by_unit + row * words;
        count = counts + row;
        masks = by_step + (size_t)sample * longest * tiles + tile;
    }
};

// Simulate neurons. A warp computes one tile of one sample.
//   drive      [sample, step, width]  in
//   lengths    [sample]               in
//   neuron                            constants
//   by_unit    [sample, unit, word]   out
//   by_step    [sample, step, tile]   out
//   counts     [sample, unit]         out
//   membranes, currents [sample, step, width]   out if `trace`, steps 1 to length − 1: the membrane as compared
//   trace, samples, longest, units, words, tiles
extern "C" __global__ void lif(
    const Real *drive, const int *lengths, Neuron neuron, Word *by_unit, Word *by_step, int *counts, Real *membranes,
    Real *currents, int trace, int samples, int longest, int units, int words, int tiles) {
    int lane = threadIdx.x & 31, width = tiles * LANES;
    long long all = (long long)samples * tiles, warps = (long long)gridDim.x * (blockDim.x >> 5);
    for (long long n = blockIdx.x * (long long)(blockDim.x >> 5) + (threadIdx.x >> 5); n < all; n += warps) {
        int sample = (int)(n / tiles), tile = (int)(n % tiles), length = lengths[sample];
        Output out(by_unit, by_step, counts, sample, tile, lane, longest, units, words, tiles);
        size_t base = (size_t)sample * longest * width + tile * LANES + lane;
        Membrane membrane = {0, 0, 0};
        Record record;
        record.start();
        Real next[AHEAD];
#pragma unroll
        for (int k = 0; k < AHEAD; ++k) next[k] = k - 1 >= 0 && k < length ? drive[base + (size_t)(k - 1) * width] : 0;
        for (int first = 0; first < 32 * words; first += AHEAD) {
            Real now[AHEAD];
#pragma unroll
            for (int k = 0; k < AHEAD; ++k) {
                int t = first + AHEAD + k;
                now[k] = next[k];
                next[k] = t < length ? drive[base + (size_t)(t - 1) * width] : 0;
            }
#pragma unroll
            for (int k = 0; k < AHEAD; ++k) {
                int t = first + k;
                if (t == 0 || t >= length) continue;
                bool fired = membrane.step(now[k], neuron) && out.live;
                if (trace) {
                    membranes[base + (size_t)t * width] = membrane.voltage;
                    currents[base + (size_t)t * width] = membrane.current;
                }
                membrane.reset(fired, neuron);
                record.add_step(t, fired, __ballot_sync(ALL, fired), lane);
            }
            if ((first & 31) == 32 - AHEAD)
                record.flush(first >> 5, out.train, out.masks, tiles, longest, out.live, lane);
        }
        if (out.live) *out.count = record.count;
    }
}

// The state of a neuron under lateral inhibition.
struct State {
    Membrane membrane;
    Record record;
    bool fired;
};

// Simulate one sample under lateral inhibition, in one block. ALONE: every warp has at most one tile, its state in
// registers; otherwise warp w has the tiles w, w + warps, …, their state in `states` [tile · LANES + lane].
template <bool ALONE>
__device__ __forceinline__ void inhibited(
    const Real *drive, int length, const Neuron &neuron, Real lateral, Word *by_unit, Word *by_step, int *counts,
    State *states, int (*sums)[32], int sample, int longest, int units, int words, int tiles) {
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5, width = tiles * LANES;
    State state;
    state.membrane = {0, 0, 0};
    state.record.start();
    state.fired = false;
    if (!ALONE)
        for (int tile = warp; tile < tiles; tile += warps) states[tile * LANES + lane] = state;
    size_t base = (size_t)sample * longest * width + lane;
    bool has = warp < tiles;
    int fired = 0;
    Real next[AHEAD];
#pragma unroll
    for (int k = 0; k < AHEAD; ++k)
        next[k] = ALONE && has && k > 0 && k < length ? drive[base + (size_t)(k - 1) * width + warp * LANES] : 0;
    for (int first = 0; first < 32 * words; first += AHEAD) {
        Real now[AHEAD];
#pragma unroll
        for (int k = 0; k < AHEAD; ++k) {
            int t = first + AHEAD + k;
            now[k] = next[k];
            if (ALONE) next[k] = has && t < length ? drive[base + (size_t)(t - 1) * width + warp * LANES] : 0;
        }
#pragma unroll
        for (int k = 0; k < AHEAD; ++k) {
            int t = first + k, sum = 0;
            if (t == 0 || t >= length) continue;  // uniform over the block
            for (int tile = warp; tile < tiles; tile += warps) {
                if (!ALONE) state = states[tile * LANES + lane];
                Real arriving = ALONE ? now[k] : drive[base + (size_t)(t - 1) * width + tile * LANES];
                int others = state.fired ? fired - 1 : fired;
                arriving = add(arriving, -multiply(lateral, (Real)others));
                state.fired = state.membrane.step(arriving, neuron) && tile * LANES + lane < units;
                state.membrane.reset(state.fired, neuron);
                Word mask = __ballot_sync(ALL, state.fired);
                state.record.add_step(t, state.fired, mask, lane);
                sum += __popc(mask);
                if (!ALONE) states[tile * LANES + lane] = state;
                if (ALONE) break;
            }
            if (warps == 1) {
                fired = sum;
                continue;
            }
            if (lane == 0) sums[t & 1][warp] = sum;
            __syncthreads();  // all warps have read the other half of `sums`: it may be written again
            fired = 0;
            for (int w = 0; w < warps; ++w) fired += sums[t & 1][w];
        }
        if ((first & 31) != 32 - AHEAD) continue;
        for (int tile = warp; tile < tiles; tile += warps) {
            if (!ALONE) state = states[tile * LANES + lane];
            Output out(by_unit, by_step, counts, sample, tile, lane, longest, units, words, tiles);
            state.record.flush(first >> 5, out.train, out.masks, tiles, longest, out.live, lane);
            if (out.live) *out.count = state.record.count;
            if (!ALONE) states[tile * LANES + lane] = state;
            if (ALONE) break;
        }
    }
}

// As `lif`, with lateral inhibition: each spike subtracts `lateral` from the drive of every other neuron of the layer, one
// step later. A block computes one sample. With more tiles than warps, dynamic shared memory holds State [tile · LANES].
//   drive, lengths, neuron        as of `lif`
//   lateral                       w0
//   by_unit, by_step, counts      as of `lif`
//   samples, longest, units, words, tiles
extern "C" __global__ void __launch_bounds__(1024) lif_lateral(
    const Real *drive, const int *lengths, Neuron neuron, Real lateral, Word *by_unit, Word *by_step, int *counts,
    int samples, int longest, int units, int words, int tiles) {
    extern __shared__ __align__(16) unsigned char memory[];
    __shared__ int sums[2][32];
    State *states = reinterpret_cast<State *>(memory);
    for (int sample = blockIdx.x; sample < samples; sample += gridDim.x) {
        if (tiles <= (int)(blockDim.x >> 5))
            inhibited<true>(
                drive, lengths[sample], neuron, lateral, by_unit, by_step, counts, states, sums, sample, longest, units,
                words, tiles);
        else
            inhibited<false>(
                drive, lengths[sample], neuron, lateral, by_unit, by_step, counts, states, sums, sample, longest, units,
                words, tiles);
        __syncthreads();  // before the next sample uses `sums` and `states`
    }
}
