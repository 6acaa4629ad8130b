// What HM2-BP makes of the output (docs/hm2bp.md sections 3 and 4), in one launch.
#include "lateral.cuh"

struct Output {
    Real target, off_target, margin;  // spikes, of the rate loss
    Real lateral_squared;             // w0²
    Real least;                       // 1 − w0² Σ … is at least this; −∞: no limit of γ
    Real inverse_nu;
    int softmax, fill, lateral, weighted;
    int fill_spikes;                  // a silent label neuron is given about so many
};

// Return the sum or the largest of one value per thread, to every thread of the block, always in the same order.
template <bool LARGEST>
__device__ __forceinline__ Real over_block(Real value, Real *parts) {
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    for (int by = 16; by; by /= 2) {
        Real other = __shfl_xor_sync(ALL, value, by);
        value = LARGEST ? (other > value ? other : value) : value + other;
    }
    if (lane == 0) parts[warp] = value;
    __syncthreads();
    value = parts[0];
    for (int w = 1; w < warps; ++w) value = LARGEST ? (parts[w] > value ? parts[w] : value) : value + parts[w];
    __syncthreads();  // `parts` may be written again
    return value;
}

// Loss and error of the output's counts, γ, and the trains that the gradient sees. A block computes one sample; all
// elements are written with `=`.
//   counts         [sample, unit]         in
//   e              [sample, post, pre]    in if `lateral`: of the layer with itself
//   labels, lengths   [sample]            in
//   weight         [sample]               in if `weighted`: factor of the error
//   by_unit        [sample, unit, word]   in
//   output                                constants
//   error, gamma   [sample, unit]         out; γ if `lateral`
//   loss           [sample]               out
//   filled, filled_counts                 out if `fill`: as by_unit and counts, silent label neurons with regular trains
//   samples, units, words
extern "C" __global__ void __launch_bounds__(256, 1) hm2bp_output(
    const int *counts, const Real *e, const int *labels, const int *lengths, const Real *weight, const Word *by_unit,
    Output output, Real *error, Real *gamma, Real *loss, Word *filled, int *filled_counts, int samples, int units,
    int words) {
    __shared__ Real parts[32];
    for (int b = blockIdx.x; b < samples; b += gridDim.x) {
        size_t row = (size_t)b * units;
        const int *fired = counts + row;
        int label = labels[b];
        Real factor = output.weighted ? weight[b] : (Real)1;
        if (output.softmax) {
            int most = 0;
            for (int i = threadIdx.x; i < units; i += blockDim.x) most = max(most, fired[i]);
            Real top = over_block<true>((Real)most, parts), sum = 0, others = 0;
            for (int i = threadIdx.x; i < units; i += blockDim.x) sum += exp((Real)fired[i] - top);
            sum = over_block<false>(sum, parts);
            // p − 1 of the label is −Σ of the others' p, which keeps its digits where p is nearly 1
            for (int i = threadIdx.x; i < units; i += blockDim.x) {
                if (i == label) continue;
                Real p = exp((Real)fired[i] - top) / sum;
                others += p;
                error[row + i] = factor * p;
            }
            others = over_block<false>(others, parts);
            if (threadIdx.x == 0) {
                error[row + label] = factor * -others;
                loss[b] = log(sum) - ((Real)fired[label] - top);
            }
        } else {
            Real sum = 0;
            for (int i = threadIdx.x; i < units; i += blockDim.x) {
                Real off = (Real)fired[i] - (i == label ? output.target : output.off_target);
                if (off <= output.margin && off >= -output.margin) off = 0;
                error[row + i] = factor * off;
                sum += off * off;
            }
            sum = over_block<false>(sum, parts);
            if (threadIdx.x == 0) loss[b] = (Real)0.5 * sum;
        }
        if (output.lateral)
            for (int i = threadIdx.x; i < units; i += blockDim.x) {
                Real loops = lateral_loops(e + row * units, fired, label, output.inverse_nu, i, units);
                Real remaining = add(1, -multiply(output.lateral_squared, loops));
                gamma[row + i] = 1 / (remaining < output.least ? output.least : remaining);
            }
        if (!output.fill) continue;
        int length = lengths[b], period = max(length / output.fill_spikes, 1);
        bool silent = fired[label] == 0;
        for (int n = threadIdx.x; n < units * words; n += blockDim.x)
            filled[row * words + n] =
                silent && n / words == label ? regular_word(n % words, period, length) : by_unit[row * words + n];
        for (int i = threadIdx.x; i < units; i += blockDim.x)
            filled_counts[row + i] = silent && i == label ? max(length - 1, 0) / period : fired[i];
    }
}
