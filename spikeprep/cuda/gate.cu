// Gates (docs/hm2bp.md section 8) and spike-train PSPs of pairs of neurons (section 2). All kernels write with `=`.
#include "gate.cuh"

// Compute the gates: what a pre spike at each step adds to e_{i|j}.
//   by_unit   [sample, unit, word]          in
//   lengths   [sample]                      in
//   psp                                     constants
//   leaving   [s], s ≤ reach                in: the term B of a firing s steps after the reset
//   error     [sample, unit]                in if `skip`: tiles where it is 0 are not written
//   skip
//   gates     [sample, tile, step, lane]    out, all steps
//   samples, longest, units, words, tiles
// A warp scans one tile of one sample.
extern "C" __global__ void gate(
    const Word *by_unit, const int *lengths, Psp psp, const Real *leaving, const Real *error, int skip, Real *gates,
    int samples, int longest, int units, int words, int tiles) {
    int lane = threadIdx.x & 31;
    long long all = (long long)samples * tiles, warps = (long long)gridDim.x * (blockDim.x >> 5);
    for (long long n = blockIdx.x * (long long)(blockDim.x >> 5) + (threadIdx.x >> 5); n < all; n += warps) {
        int sample = (int)(n / tiles), unit = (int)(n % tiles) * LANES + lane, length = lengths[sample];
        bool live = unit < units;
        if (skip && !__any_sync(ALL, live && error[(size_t)sample * units + unit] != 0)) continue;
        const Word *train = by_unit + ((size_t)sample * units + unit) * words;
        Real *out = gates + (size_t)n * longest * LANES + lane;
        // no firing can follow these steps
        for (int t = max(1, length - psp.refractory); t < longest; ++t) out[(size_t)t * LANES] = 0;
        out[0] = 0;
        scan_gates(train, words, length, live, psp, leaving, [&](int t, Real gate) { out[(size_t)t * LANES] = gate; });
    }
}

// Compute e_{i|j}, the rules of silent neurons included. A warp computes one tile of post neurons and one pre neuron.
//   gates          [sample, tile, step, lane]   in
//   event_counts   [sample · pre], lists [sample · pre, stride]   in: events of the pre neurons by unit
//   post_counts    [sample, post]               in
//   psp                                         constants
//   out            [sample, post, pre]          out
//   samples, pre, longest, stride, units, tiles
extern "C" __global__ void psp(
    const Real *gates, const int *event_counts, const Id *lists, const int *post_counts, Psp psp, Real *out, int samples,
    int pre, int longest, int stride, int units, int tiles) {
    int lane = threadIdx.x & 31;
    long long all = (long long)samples * tiles * pre, warps = (long long)gridDim.x * (blockDim.x >> 5);
    for (long long n = blockIdx.x * (long long)(blockDim.x >> 5) + (threadIdx.x >> 5); n < all; n += warps) {
        int j = (int)(n % pre), tile = (int)(n / pre % tiles), sample = (int)(n / pre / tiles);
        int unit = tile * LANES + lane;
        size_t row = (size_t)sample * pre + j;
        int count = event_counts[row];
        const Id *list = lists + row * stride;
        Ids ids = count ? first_ids(list) : Ids{};
        Rows<LANES, false> rows(gates + ((size_t)sample * tiles + tile) * longest * LANES, lane, LANES);
        Real e = sum_rows<1>(rows, list, count, ids).at[0];
        if (unit < units) {
            if (count && post_counts[(size_t)sample * units + unit] == 0) e = psp.silent_psp;
            out[((size_t)sample * units + unit) * pre + j] = e;
        }
    }
}
