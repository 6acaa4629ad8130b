// Convolutions under HM2-BP (docs/hm2bp.md, docs/cuda.md).
#include "gradient.cuh"
#include "grids.cuh"

#define CHANNELS 4  // that a warp simulates of its places

struct alignas(16) Weights {
    Real at[CHANNELS];
};

// Simulate a convolution's neurons. A warp computes CHANNELS channels of 32 places of one sample, a lane a place; it sums
// over the events of a step in the order of units.
//   weight         [tap, width]                 in
//   units          [pre]                        in: (row << 16 | column, tap in the window at row 0, column 0)
//   event_counts   [sample · step], lists [sample · step, stride]   in: input by step
//   lengths        [sample]                     in
//   windows, neuron                             constants
//   by_unit        [sample, unit, word]         out
//   counts         [sample, unit]               out
//   longest, stride, words, width
//   groups         of CHANNELS channels; a block has a warp for each of up to blockDim.x / 32 of them
//   staged         whether the block's weights are copied to shared memory [group, tap, CHANNELS]
// Grid: blocks of a sample's tile of places · tiles · samples.
extern "C" __global__ void __launch_bounds__(256, 3) conv_forward(
    const Real *weight, const int2 *units, const int *event_counts, const Id *lists, const int *lengths, Windows windows,
    Neuron neuron, Word *by_unit, int *counts, int longest, int stride, int words, int width, int groups, int staged) {
    extern __shared__ __align__(16) unsigned char memory[];
    Real *table = reinterpret_cast<Real *>(memory);
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    int places = windows.places(), tiles = (places + 31) / 32, taps = windows.channels * windows.kernel();
    int shares = (groups + warps - 1) / warps, first_group = blockIdx.x % shares * warps;
    int tile = blockIdx.x / shares % tiles, sample = blockIdx.x / shares / tiles;
    if (staged) {
        int row = min(warps, groups - first_group) * CHANNELS;
        for (int n = threadIdx.x; n < taps * row; n += blockDim.x) {
            int tap = n / row, channel = n % row;
            table[(channel / CHANNELS * taps + tap) * CHANNELS + channel % CHANNELS] =
                weight[(size_t)tap * width + first_group * CHANNELS + channel];
        }
        __syncthreads();
    }
    if (first_group + warp >= groups) return;
    int channel = (first_group + warp) * CHANNELS, place = tile * 32 + lane;
    bool live = place < places;
    const Real *own = staged ? table + (size_t)warp * taps * CHANNELS : weight + channel;
    int step_of_tap = staged ? CHANNELS : width;
    // the lane's window begins at (top, left); lanes that are no neurons see nothing
    int top = live ? place / windows.out_columns * windows.down - windows.above : 1 << 20;
    int left = place % windows.out_columns * windows.right - windows.left;
    int own_tap = live ? top * windows.kernel_columns + left : 0;
    // rows that some lane sees: low ≤ row < low + span
    int low = tile * 32 / windows.out_columns * windows.down - windows.above;
    int span = (min(tile * 32 + 31, places - 1) / windows.out_columns * windows.down - windows.above) + windows.kernel_rows - low;
    int length = lengths[sample];
    const int *row_counts = event_counts + (size_t)sample * longest;
    const Id *row_lists = lists + (size_t)sample * longest * stride;
    Membrane membrane[CHANNELS];
    Word train[CHANNELS];
    int fired_in_all[CHANNELS];
#pragma unroll
    for (int q = 0; q < CHANNELS; ++q) {
        membrane[q] = {0, 0, 0};
        fired_in_all[q] = 0;
    }
    // What a step needs is loaded three, two and one steps ahead: the number of events of the step before, their units, of
    // which a lane has one, and where these are. Each load needs the one before it, and no step waits for one.
    auto count_at = [&](int row) { return row < length - 1 ? row_counts[row] : 0; };
    auto id_at = [&](int row, int count) { return lane < count ? (int)row_lists[(size_t)row * stride + lane] : 0; };
    auto unit_of = [&](int id, int count) { return lane < count ? units[id] : int2{0, 0}; };
    int count = count_at(0), next_count = count_at(1), third_count = count_at(2);
    int next_id = id_at(1, next_count);
    int2 unit = unit_of(id_at(0, count), count);
    for (int w = 0; w < words; ++w) {
#pragma unroll
        for (int q = 0; q < CHANNELS; ++q) train[q] = 0;
        for (int k = 0; k < 32; ++k) {
            int t = 32 * w + k;
            if (t == 0 || t >= length) continue;  // uniform over the warp
            int fourth_count = count_at(t + 2), third_id = id_at(t + 1, third_count);
            int2 next_unit = unit_of(next_id, next_count);
            Real drive[CHANNELS];
#pragma unroll
            for (int q = 0; q < CHANNELS; ++q) drive[q] = 0;
            for (int from = 0;;) {
                Word seen = __ballot_sync(ALL, from + lane < count && (unsigned)((unit.x >> 16) - low) < (unsigned)span);
                while (seen) {
                    int source = __ffs(seen) - 1;
                    seen &= seen - 1;
                    int at = __shfl_sync(ALL, unit.x, source), tap = __shfl_sync(ALL, unit.y, source) - own_tap;
                    if ((unsigned)((at >> 16) - top) < (unsigned)windows.kernel_rows &&
                        (unsigned)((at & 0xffff) - left) < (unsigned)windows.kernel_columns) {
                        Weights weights = *reinterpret_cast<const Weights *>(own + (size_t)tap * step_of_tap);
#pragma unroll
                        for (int q = 0; q < CHANNELS; ++q) drive[q] = add(drive[q], weights.at[q]);
                    }
                }
                from += 32;
                if (from >= count) break;
                if (from + lane < count) unit = units[row_lists[(size_t)(t - 1) * stride + from + lane]];
            }
            unit = next_unit;
            count = next_count;
            next_count = third_count;
            third_count = fourth_count;
            next_id = third_id;
#pragma unroll
            for (int q = 0; q < CHANNELS; ++q) {
                bool fired = membrane[q].step(drive[q], neuron);
                membrane[q].reset(fired, neuron);
                train[q] |= (Word)fired << k;
                fired_in_all[q] += fired;
            }
        }
#pragma unroll
        for (int q = 0; q < CHANNELS; ++q)
            if (live && channel + q < windows.out_channels)
                by_unit[((size_t)(sample * windows.out_channels + channel + q) * places + place) * words + w] = train[q];
    }
#pragma unroll
    for (int q = 0; q < CHANNELS; ++q)
        if (live && channel + q < windows.out_channels)
            counts[(size_t)(sample * windows.out_channels + channel + q) * places + place] = fired_in_all[q];
}

// ---------------------------------------------------------------- backward

// Number the pre units of each sample that fire, in the order (row, column, channel): those of a window's row then follow
// each other. A block numbers one sample's.
//   counts    [sample, pre]       in
//   windows                       constants
//   ranks     [sample, pre + 1]   out: how many of the positions before one, in that order, fire
//   active    [sample, pre]       out: (the unit of that number, channel · kernel + column)
//   pre
extern "C" __global__ void __launch_bounds__(256) number_active(
    const int *counts, Windows windows, int *ranks, int2 *active, int pre) {
    __shared__ int totals[2][8];
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5, below = 0, turn = 0;
    counts += (size_t)blockIdx.x * pre;
    ranks += (size_t)blockIdx.x * (pre + 1);
    active += (size_t)blockIdx.x * pre;
    for (int first = 0; first < pre; first += blockDim.x, turn = 1 - turn) {
        int position = first + threadIdx.x, channel = position % windows.channels, place = position / windows.channels;
        int row = place / windows.columns, column = place % windows.columns;
        int unit = channel * windows.channel_stride + row * windows.row_stride + column * windows.column_stride;
        bool fires = position < pre && counts[unit] > 0;
        Word mask = __ballot_sync(ALL, fires);
        if (lane == 0) totals[turn][warp] = __popc(mask);
        __syncthreads();
        int number = below + __popc(mask & ((1u << lane) - 1));
        for (int k = 0; k < warps; ++k) {
            number += k < warp ? totals[turn][k] : 0;
            below += totals[turn][k];
        }
        if (position < pre) ranks[position] = number;
        if (fires) active[number] = {unit, channel * windows.kernel() + column};
    }
    if (threadIdx.x == 0) ranks[pre] = below;
}

// The columns of a sample's traces: the units that fire, filled up to 32 bytes.
__device__ __forceinline__ int columns_of(int active) { return (active + 7) & ~7; }

// Filter the trains of pre units that fire: Σ_{t' ≤ t} α(t − t') at every step, then Σ_{t' ≤ t} e^{−(t − t')/τs} at the
// steps that can leave the window; t' ≥ 1. A thread filters one train.
//   by_unit   [sample, pre, word]                       in
//   ranks, active                                       in: of `number_active`
//   lengths   [sample]                                  in
//   psp                                                 constants
//   traces    [sample, longest + slow_steps, column]    out; room for `pre` + 7 columns, of which a sample uses columns_of
//   samples, longest, slow_steps, pre, words
extern "C" __global__ void traces(
    const Word *by_unit, const int *ranks, const int2 *active, const int *lengths, Psp psp, Real *traces, int samples,
    int longest, int slow_steps, int pre, int words) {
    long long all = (long long)samples * pre;
    for (long long n = blockIdx.x * (long long)blockDim.x + threadIdx.x; n < all; n += (long long)gridDim.x * blockDim.x) {
        int sample = (int)(n / pre), number = (int)(n % pre), length = lengths[sample];
        int last = ranks[(size_t)sample * (pre + 1) + pre], columns = columns_of(last);
        if (number >= last) continue;
        const Word *train = by_unit + ((size_t)sample * pre + active[n].x) * words;
        Real *out = traces + (size_t)sample * (longest + slow_steps) * (pre + 7) + number;
        Real trace_m = 0, trace_s = 0;
        for (int w = 0; 32 * w < length; ++w) {
            Word now = w ? train[w] : train[w] & ~1u;
            int end = min(32 * w + 32, length);
            for (int t = 32 * w; t < end; ++t, now >>= 1) {
                trace_m = trace_m * psp.decay_m + (Real)(now & 1);
                trace_s = trace_s * psp.decay_s + (Real)(now & 1);
                out[(size_t)t * columns] = psp.norm * (trace_m - trace_s);
                if (t < slow_steps) out[(size_t)(longest + t) * columns] = trace_s;
            }
        }
    }
}

#define TERMS 100  // of 32 firings, filled up to a multiple of 4
#define PLACES 512 // that a block of the gradient computes at a time

// What a neuron's firings sample of the traces, as rows and factors.
struct Terms {
    int *rows;  // [TERMS]
    Real *shares;

    // List the terms of `count` firings, at most 32; `firing` is the lane's and `before` the one before it, or −1.
    // Return their number, a multiple of 4: the last may have no share.
    __device__ __forceinline__ int list(
        int firing, int before, int count, const Psp &psp, int window, const Real *decays, int longest, int lane) const {
        int last = firing - psp.refractory, leaving = window < 0 ? 0 : firing - window - 1;
        int reset = max(before, leaving), own = 0;
        if (lane < count && last > 0 && last > reset) own = 1 + (reset > 0) + (leaving > 0);
        int at = sum_below(own, lane), all = __shfl_sync(ALL, at + own, 31);
        if (own) {
            rows[at] = last;
            shares[at++] = 1;
        }
        if (own > 1) {
            rows[at] = reset;
            shares[at++] = -decays[last - reset];
        }
        if (own > 2) {
            rows[at] = longest + leaving;
            shares[at] = -decays[2 * (longest + 1) + last - reset] * decays[longest + 1 + reset - leaving];
        }
        int padded = (all + 3) & ~3;
        if (lane < padded - all) {
            rows[all + lane] = 0;
            shares[all + lane] = 0;
        }
        __syncwarp();
        return padded;
    }
};

// A warp's part of the memory of a block of `conv_gradient`.
struct Workplace {
    Real *sums;             // [tap] Σ over its places
    Real *e;                // [item] PSPs of one place with the units in its window that fire
    int *columns, *taps;    // [item] of these units
    Terms terms;
    unsigned short *times;  // [32 · min(words, 32)] firings of a post unit
};

// The gradient of each sample, and e of its pairs for the error that is sent back. A block computes a channel of a
// sample. Its warps take turns: with post units that are silent, lanes computing taps, then with those that fire, lanes
// computing the pre units in their windows that fire. The sums of the warps are added in order.
//   weight         [tap, width]                     in
//   taps           [tap]                            in: (unit of the tap in a window at row 0, column 0; row << 16 | column)
//   pre_counts     [sample, pre]                    in
//   ranks, active                                   in: of `number_active`
//   by_unit        [sample, unit, word]             in: post trains
//   post_counts    [sample, unit]                   in
//   error          [sample, unit]                   in: ∂E/∂o; δ is that / ν
//   scale          [sample, unit]                   in if `scaled`: γ
//   traces                                          in: of `traces`
//   decays         [3, longest + 1]                 in: e^{−x/τm}, e^{−x/τs}, α(x)
//   psp, window (W, −1: none), gain_floor, windows  constants
//   sums           [sample, channel, tap]           out: Σ_places δ γ (1 + σ) e
//   deltas         [sample, unit]                   out if `sends`: δ, first where the unit fires, second where it does not
//   pairs          [sample, channel, tap, place]    out if `sends`: e, where both units fire
//   scratch        [block, bytes]                   scratch, unless `staged`: then in shared memory
//   samples, longest, slow_steps, pre, words, width
template <bool STAGED>
__device__ __forceinline__ void gradient(
    const Real *weight, const int2 *taps, const int *pre_counts, const int *ranks, const int2 *active, const Word *by_unit,
    const int *post_counts, const Real *error, const Real *scale, int scaled, const Real *traces, const Real *decays,
    const Psp &psp, int window, Real gain_floor, const Windows &windows, Real *sums, Real *deltas, Real *pairs, int sends,
    unsigned char *scratch, int longest, int slow_steps, int pre, int words, int width, unsigned char *memory) {
    __shared__ Real amounts[PLACES];     // what a silent unit adds to the gradient of each active tap
    __shared__ Word firing[PLACES / 32];
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    int channel = blockIdx.x % windows.out_channels, sample = blockIdx.x / windows.out_channels;
    int count = windows.channels * windows.kernel(), places = windows.places(), firings = 32 * min(words, 32);
    Real *reals = reinterpret_cast<Real *>(STAGED ? memory : scratch + (size_t)blockIdx.x *
        ((size_t)(count + warps * 2 * count) * sizeof(Real) + (size_t)warps * 2 * count * sizeof(int)));
    Real *w = reals;
    Workplace own;
    own.sums = w + count + (size_t)warp * 2 * count;
    own.e = own.sums + count;
    int *ints = reinterpret_cast<int *>(w + count + (size_t)warps * 2 * count);
    own.columns = ints + (size_t)warp * 2 * count;
    own.taps = own.columns + count;
    Real *shares = reinterpret_cast<Real *>(
        STAGED ? reinterpret_cast<unsigned char *>(ints + (size_t)warps * 2 * count) : memory);
    own.terms.shares = shares + warp * TERMS;
    own.terms.rows = reinterpret_cast<int *>(shares + warps * TERMS) + warp * TERMS;
    own.times = reinterpret_cast<unsigned short *>(
        reinterpret_cast<int *>(shares + warps * TERMS) + warps * TERMS) + warp * firings;

    for (int tap = threadIdx.x; tap < count; tap += blockDim.x) w[tap] = weight[(size_t)tap * width + channel];
    for (int tap = lane; tap < count; tap += 32) own.sums[tap] = 0;
    pre_counts += (size_t)sample * pre;
    ranks += (size_t)sample * (pre + 1);
    active += (size_t)sample * pre;
    size_t units = ((size_t)sample * windows.out_channels + channel) * places;  // of the block
    int columns = columns_of(ranks[pre]);
    traces += (size_t)sample * (longest + slow_steps) * (pre + 7);
    bool padded = windows.above || windows.left;
    __syncthreads();
    Real fan_in = 0;  // Σ_l w_il over the taps inside the input
    if (!padded) {
        for (int tap = lane; tap < count; tap += 32) fan_in += w[tap];
        fan_in = warp_sum(fan_in);
    }
    auto top_of = [&](int place) { return place / windows.out_columns * windows.down - windows.above; };
    auto left_of = [&](int place) { return place % windows.out_columns * windows.right - windows.left; };
    auto slope_at = [&](size_t i, Real share) {  // δ γ (1 + σ)
        Real slope = slope_of(error[i] / psp.nu, share, gain_floor, psp);
        return scaled ? slope * scale[i] : slope;
    };

    for (int begin = 0; begin < places; begin += PLACES) {
        int end = min(places, begin + PLACES);
        for (int n = threadIdx.x; n < ((end - begin + 31) & ~31); n += blockDim.x) {
            int place = begin + n;
            size_t i = units + place;
            Real d = place < end ? error[i] : 0, amount = 0;
            bool fires = place < end && post_counts[i] > 0;
            if (d != 0 && !fires) {
                Real sum = fan_in;
                if (padded) {
                    int top = top_of(place), left = left_of(place);
                    sum = 0;
                    for (int tap = 0; tap < count; ++tap)
                        if ((unsigned)(top + (taps[tap].y >> 16)) < (unsigned)windows.rows &&
                            (unsigned)(left + (taps[tap].y & 0xffff)) < (unsigned)windows.columns)
                            sum += w[tap];
                }
                amount = slope_at(i, psp.silent_share * sum) * psp.silent_psp;
            }
            amounts[n] = amount;
            Word mask = __ballot_sync(ALL, d != 0 && fires);
            if (lane == 0) firing[n / 32] = mask;
            if (sends && place < end) {
                deltas[2 * i] = fires ? d / psp.nu : 0;
                deltas[2 * i + 1] = fires ? 0 : d / psp.nu;
            }
        }
        __syncthreads();
        for (int n = warp; n < end - begin; n += warps) {  // units that are silent
            Real amount = amounts[n];
            if (amount == 0) continue;
            int top = top_of(begin + n), left = left_of(begin + n);
            int origin = top * windows.row_stride + left * windows.column_stride;
            for (int tap = lane; tap < count; tap += 32) {
                int2 seen = taps[tap];
                if (padded && ((unsigned)(top + (seen.y >> 16)) >= (unsigned)windows.rows ||
                               (unsigned)(left + (seen.y & 0xffff)) >= (unsigned)windows.columns))
                    continue;
                if (pre_counts[origin + seen.x] > 0) own.sums[tap] += amount;
            }
        }
        __syncwarp();
        int turn = 0;
        for (int n = 0; n < end - begin; n += 32) {
            for (Word mask = firing[n / 32]; mask; mask &= mask - 1, ++turn) {
                if (turn % warps != warp) continue;  // uniform over the warp
                int place = begin + n + __ffs(mask) - 1, top = top_of(place), left = left_of(place), items = 0;
                size_t i = units + place;
                int upper = max(0, -top), lower = min(windows.kernel_rows, windows.rows - top);
                for (int first = upper; first < lower; first += 32) {  // rows of the window, a lane each
                    int row = (top + first + lane) * windows.columns, from = 0, own_items = 0;
                    if (first + lane < lower) {
                        from = ranks[(row + max(0, left)) * windows.channels];
                        own_items =
                            ranks[(row + min(windows.columns, left + windows.kernel_columns)) * windows.channels] - from;
                    }
                    int at = items + sum_below(own_items, lane);
                    for (int a = 0; a < min(32, lower - first); ++a) {
                        int begins = __shfl_sync(ALL, from, a), number = __shfl_sync(ALL, own_items, a);
                        int to = __shfl_sync(ALL, at, a);
                        for (int k = lane; k < number; k += 32) {
                            own.columns[to + k] = begins + k;
                            own.taps[to + k] = active[begins + k].y + (first + a) * windows.kernel_columns - left;
                            own.e[to + k] = 0;
                        }
                    }
                    items = __shfl_sync(ALL, at + own_items, 31);
                }
                int before = -1;  // the last firing of the words before
                for (int first = 0; first < words; first += 32) {
                    Word train = first + lane < words ? by_unit[i * words + first + lane] : 0;
                    int at = sum_below(__popc(train), lane), all = __shfl_sync(ALL, at + __popc(train), 31);
                    for (; train; train &= train - 1) own.times[at++] = (unsigned short)(32 * lane + __ffs(train) - 1);
                    __syncwarp();
                    for (int from = 0; from < all; from += 32) {
                        int k = from + lane, now = k < all ? 32 * first + own.times[k] : 0;
                        int previous = k > 0 && k < all ? 32 * first + own.times[k - 1] : before;
                        int terms = own.terms.list(now, previous, min(32, all - from), psp, window, decays, longest, lane);
                        for (int item = lane; item < items; item += 32) {
                            const Real *column = traces + own.columns[item];
                            Real total = own.e[item];
                            for (int q = 0; q < terms; q += 4) {
                                Real values[4];
#pragma unroll
                                for (int p = 0; p < 4; ++p) values[p] = column[(size_t)own.terms.rows[q + p] * columns];
#pragma unroll
                                for (int p = 0; p < 4; ++p) total += own.terms.shares[q + p] * values[p];
                            }
                            own.e[item] = total;
                        }
                        __syncwarp();
                    }
                    if (all) before = 32 * first + own.times[all - 1];
                    __syncwarp();
                }
                Real weighted = 0;  // Σ_l w_il e_il
                for (int item = lane; item < items; item += 32) weighted += w[own.taps[item]] * own.e[item];
                Real slope = slope_at(i, warp_sum(weighted) / (Real)post_counts[i]);
                for (int item = lane; item < items; item += 32) {
                    int tap = own.taps[item];
                    own.sums[tap] += slope * own.e[item];
                    if (sends) pairs[(units * count) + (size_t)tap * places + place] = own.e[item];
                }
                __syncwarp();
            }
        }
        __syncthreads();
    }
    for (int tap = threadIdx.x; tap < count; tap += blockDim.x) {
        Real total = 0;
        for (int k = 0; k < warps; ++k) total += w[count + (size_t)k * 2 * count + tap];
        sums[(size_t)blockIdx.x * count + tap] = total;
    }
}

#define CONV_GRADIENT(NAME, STAGED)                                                                                   \
    extern "C" __global__ void __launch_bounds__(256, 4) NAME(                                                        \
        const Real *weight, const int2 *taps, const int *pre_counts, const int *ranks, const int2 *active,            \
        const Word *by_unit, const int *post_counts, const Real *error, const Real *scale, int scaled,                \
        const Real *traces, const Real *decays, Psp psp, int window, Real gain_floor, Windows windows, Real *sums,    \
        Real *deltas, Real *pairs, int sends, unsigned char *scratch, int longest, int slow_steps, int pre,           \
        int words, int width) {                                                                                       \
        extern __shared__ __align__(16) unsigned char memory[];                                                       \
        gradient<STAGED>(weight, taps, pre_counts, ranks, active, by_unit, post_counts, error, scale, scaled, traces, \
                         decays, psp, window, gain_floor, windows, sums, deltas, pairs, sends, scratch, longest,      \
                         slow_steps, pre, words, width, memory);                                                      \
    }

CONV_GRADIENT(conv_gradient, true)
CONV_GRADIENT(conv_gradient_apart, false)

// Add the samples' sums to the gradient, samples in order.
//   sums       [sample, channel, tap]   in
//   gradient   [tap, width]             added to
//   samples, channels, taps, width
extern "C" __global__ void add_samples(const Real *sums, Real *gradient, int samples, int channels, int taps, int width) {
    int all = channels * taps;
    for (int n = blockIdx.x * blockDim.x + threadIdx.x; n < all; n += gridDim.x * blockDim.x) {
        Real *to = gradient + (size_t)(n % taps) * width + n / taps, total = *to;
#pragma unroll 8
        for (int b = 0; b < samples; ++b) total += sums[(size_t)b * all + n];
        *to = total;
    }
}

#define SEND_WARPS 8

// Write the error at the pre units of each sample: Σ δ w ρ over the post units that see them (docs/hm2bp.md section 4).
// A block computes 32 pre units of one sample; its warps share the channels, and their sums are added in order.
//   weight       [tap, width]                      in
//   deltas       [sample, unit]                    in: see conv_gradient
//   pairs        [sample, channel, tap, place]     in: of conv_gradient
//   pre_counts   [sample, pre]                     in
//   units        [pre]                             in: see conv_forward
//   psp, windows                                   constants
//   sent         [sample, pre]                     out, all elements
//   pre, width
struct alignas(2 * sizeof(Real)) Deltas {
    Real firing, silent;
};

extern "C" __global__ void __launch_bounds__(256, 1) conv_send(
    const Real *weight, const Real *deltas, const Real *pairs, const int *pre_counts, const int2 *units, Psp psp,
    Windows windows, Real *sent, int pre, int width) {
    __shared__ Real parts[2][SEND_WARPS][32];
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, tiles = (pre + 31) / 32;
    int sample = blockIdx.x / tiles, j = blockIdx.x % tiles * 32 + lane;
    int kernel = windows.kernel(), places = windows.places(), taps = windows.channels * kernel;
    size_t first = (size_t)sample * windows.out_channels * places;
    const Deltas *all = reinterpret_cast<const Deltas *>(deltas) + first;
    int spikes = j < pre ? pre_counts[(size_t)sample * pre + j] : 0;
    int2 unit = j < pre ? units[j] : int2{0, 0};
    int y = unit.x >> 16, x = unit.x & 0xffff, input = (unit.y - y * windows.kernel_columns - x) / kernel;
    Real firing = 0, silent = 0;  // Σ δ w e over pairs that both fire, Σ δ w over the others
    for (int a = 0; j < pre && a < windows.kernel_rows; ++a) {
        int row = y + windows.above - a;
        if (row < 0 || row % windows.down || row / windows.down >= windows.out_rows) continue;
        for (int d = 0; d < windows.kernel_columns; ++d) {
            int column = x + windows.left - d;
            if (column < 0 || column % windows.right || column / windows.right >= windows.out_columns) continue;
            int place = row / windows.down * windows.out_columns + column / windows.right;
            int tap = input * kernel + a * windows.kernel_columns + d;
            const Real *w = weight + (size_t)tap * width;
            const Real *e = pairs + first * taps + (size_t)tap * places + place;
#pragma unroll 4
            for (int channel = warp; channel < windows.out_channels; channel += SEND_WARPS) {
                Deltas delta = all[(size_t)channel * places + place];
                silent += delta.silent * w[channel];
                if (delta.firing == 0) continue;
                if (spikes)
                    firing += delta.firing * w[channel] * e[(size_t)channel * taps * places];
                else
                    silent += delta.firing * w[channel];
            }
        }
    }
    parts[0][warp][lane] = firing;
    parts[1][warp][lane] = silent;
    __syncthreads();
    if (warp || j >= pre) return;
    for (int k = 1; k < SEND_WARPS; ++k) {
        firing += parts[0][k][lane];
        silent += parts[1][k][lane];
    }
    sent[(size_t)sample * pre + j] = psp.silent_ratio * silent + (spikes ? firing / (Real)spikes : 0);
}
