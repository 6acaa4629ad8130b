// Neurons on a drive that is at hand (docs/hm2bp.md section 1): drive [sample, step, width], that of step t arrives at
// t + 1. Every kernel writes `=`: words by unit and by step, counts [sample, unit], all elements.
#include "common.cuh"

#define AHEAD 8  // steps of drive that are on their way while a neuron computes

// Where one sample's tile writes.
struct Output {
    Word *train, *steps;
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
        steps = by_step + (size_t)sample * longest * tiles + tile;
    }
};

// A warp simulates one tile of one sample. With `trace`, membranes (as compared) and currents [sample, step, width] are
// written from step 1 on, up to the sample's own steps.
extern "C" __global__ void lif(
    const Real *drive, const int *steps, Neuron neuron, Word *by_unit, Word *by_step, int *counts, Real *membranes,
    Real *currents, int trace, int samples, int longest, int units, int words, int tiles) {
    int lane = threadIdx.x & 31, width = tiles * LANES;
    long long all = (long long)samples * tiles, warps = (long long)gridDim.x * (blockDim.x >> 5);
    for (long long n = blockIdx.x * (long long)(blockDim.x >> 5) + (threadIdx.x >> 5); n < all; n += warps) {
        int sample = (int)(n / tiles), tile = (int)(n % tiles), own = steps[sample];
        Output out(by_unit, by_step, counts, sample, tile, lane, longest, units, words, tiles);
        size_t base = (size_t)sample * longest * width + tile * LANES + lane;
        Membrane membrane = {0, 0, 0};
        Record record;
        record.start();
        Real next[AHEAD];
#pragma unroll
        for (int k = 0; k < AHEAD; ++k) next[k] = k - 1 >= 0 && k < own ? drive[base + (size_t)(k - 1) * width] : 0;
        for (int first = 0; first < 32 * words; first += AHEAD) {
            Real now[AHEAD];
#pragma unroll
            for (int k = 0; k < AHEAD; ++k) {
                int t = first + AHEAD + k;
                now[k] = next[k];
                next[k] = t < own ? drive[base + (size_t)(t - 1) * width] : 0;
            }
#pragma unroll
            for (int k = 0; k < AHEAD; ++k) {
                int t = first + k;
                if (t == 0 || t >= own) continue;
                bool fired = membrane.step(now[k], neuron);
                if (trace) {
                    membranes[base + (size_t)t * width] = membrane.voltage;
                    currents[base + (size_t)t * width] = membrane.current;
                }
                membrane.reset(fired, neuron);
                record.add_step(t, fired, __ballot_sync(ALL, fired), lane);
            }
            if ((first & 31) == 32 - AHEAD)
                record.flush(first >> 5, out.train, out.steps, tiles, longest, out.live, lane);
        }
        if (out.live) *out.count = record.count;
    }
}

// What a neuron under lateral inhibition carries from step to step.
struct State {
    Membrane membrane;
    Record record;
    bool fired;
};

// One sample under lateral inhibition, by a whole block. ALONE: every warp has one tile at most, and keeps its state in
// registers; else warp w has the tiles w, w + warps, …, whose state is in `states` [tile · LANES + lane].
template <bool ALONE>
__device__ __forceinline__ void inhibited(
    const Real *drive, int own, const Neuron &neuron, Real lateral, Word *by_unit, Word *by_step, int *counts,
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
        next[k] = ALONE && has && k > 0 && k < own ? drive[base + (size_t)(k - 1) * width + warp * LANES] : 0;
    for (int first = 0; first < 32 * words; first += AHEAD) {
        Real now[AHEAD];
#pragma unroll
        for (int k = 0; k < AHEAD; ++k) {
            int t = first + AHEAD + k;
            now[k] = next[k];
            if (ALONE) next[k] = has && t < own ? drive[base + (size_t)(t - 1) * width + warp * LANES] : 0;
        }
#pragma unroll
        for (int k = 0; k < AHEAD; ++k) {
            int t = first + k, sum = 0;
            if (t == 0 || t >= own) continue;  // the same for the whole block
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
            __syncthreads();  // the other half of `sums` is free again: its readers have all come here
            fired = 0;
            for (int w = 0; w < warps; ++w) fired += sums[t & 1][w];
        }
        if ((first & 31) != 32 - AHEAD) continue;
        for (int tile = warp; tile < tiles; tile += warps) {
            if (!ALONE) state = states[tile * LANES + lane];
            Output out(by_unit, by_step, counts, sample, tile, lane, longest, units, words, tiles);
            state.record.flush(first >> 5, out.train, out.steps, tiles, longest, out.live, lane);
            if (out.live) *out.count = state.record.count;
            if (!ALONE) states[tile * LANES + lane] = state;
            if (ALONE) break;
        }
    }
}

// As `lif`, a block a sample and its tiles in step: each spike takes `lateral` from the drive of every other neuron of
// the layer, one step later. Where there are more tiles than warps, dynamic shared memory holds State [tile · LANES].
extern "C" __global__ void __launch_bounds__(1024) lif_lateral(
    const Real *drive, const int *steps, Neuron neuron, Real lateral, Word *by_unit, Word *by_step, int *counts,
    int samples, int longest, int units, int words, int tiles) {
    extern __shared__ __align__(16) unsigned char memory[];
    __shared__ int sums[2][32];
    State *states = reinterpret_cast<State *>(memory);
    for (int sample = blockIdx.x; sample < samples; sample += gridDim.x) {
        if (tiles <= (int)(blockDim.x >> 5))
            inhibited<true>(
                drive, steps[sample], neuron, lateral, by_unit, by_step, counts, states, sums, sample, longest, units,
                words, tiles);
        else
            inhibited<false>(
                drive, steps[sample], neuron, lateral, by_unit, by_step, counts, states, sums, sample, longest, units,
                words, tiles);
        __syncthreads();  // `sums` and `states` are the next sample's
    }
}
