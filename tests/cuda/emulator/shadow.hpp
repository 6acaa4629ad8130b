// Records of memory accesses in the checked build: a cell for each byte of shared memory and each element of an array, or
// each four bytes of a larger element.
//
// Two accesses to a cell, one of them a write, by two threads, race unless something orders them: a barrier of their
// block, __syncwarp of their warp, or both being atomic. Blocks of one launch are never ordered. No other intrinsic
// orders memory. Only the latest write and two readers of a cell are recorded: a race may be missed, but every
// reported one is a race.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <vector>

#include "core.hpp"

namespace emu::shadow {

constexpr unsigned STATIC = ~0u, DYNAMIC = ~0u - 1;

struct Stamp {
    uint32_t block;  // + 1; 0: never
    uint32_t phase, tick;
    uint16_t thread;
    bool atomic;
};

struct Cell {
    Stamp write, reads[2];
};

// Memory that is zero until it is written, and is only then allocated.
struct Cells {
    Cell *all = nullptr;
    size_t count = 0;

    explicit Cells(size_t count) : count(count) { again(); }
    Cells(Cells &&other) noexcept : all(other.all), count(other.count) { other.all = nullptr; }
    ~Cells() { free(all); }
    void again() {
        free(all);
        all = static_cast<Cell *>(calloc(count, sizeof(Cell)));
        if (!all) abort();
    }
};

struct Region {
    const char *begin;
    size_t bytes;
    unsigned index, cell;  // bytes of a cell
    bool global;
    Cells cells;
};

inline std::vector<Region> regions;
inline const char *arena_begin, *arena_end, *shared_begin, *shared_end;
inline uint32_t block, phase;
inline uint32_t clocks[32][32][32];  // [warp][lane][other]: the last tick of the other lane that is ordered before this lane's
inline uint32_t ticks[32][32];

inline void launch_begins() { regions.clear(); }

inline void add(const char *begin, size_t bytes, unsigned index, unsigned cell, bool global) {
    regions.push_back({begin, bytes, index, cell, global, Cells((bytes + cell - 1) / cell)});
}

// A shared variable that the block declares.
inline void declare(const char *begin, size_t bytes) {
    for (Region &region : regions)
        if (region.begin == begin) return;  // of an earlier block: cleared since
    add(begin, bytes, STATIC, 1, false);
}

inline void again() {
    for (Region &region : regions) region.cells.again();
}

inline void arena(const char *begin, size_t bytes, const char *shared, size_t shared_bytes) {
    arena_begin = begin;
    arena_end = begin + bytes;
    shared_begin = shared;
    shared_end = shared + shared_bytes;
}

inline void block_begins(uint32_t index) {
    block = index + 1;
    phase = 0;
    memset(clocks, 0, sizeof clocks);
    for (auto &warp : ticks)
        for (uint32_t &tick : warp) tick = 1;
    for (Region &region : regions)
        if (!region.global) region.cells.again();
}

inline void barrier() { phase++; }

inline void warp_sync(unsigned warp, unsigned mask) {
    uint32_t joint[32] = {};
    for (unsigned l = 0; l < 32; l++) {
        if (!(mask >> l & 1)) continue;
        for (unsigned m = 0; m < 32; m++)
            if (clocks[warp][l][m] > joint[m]) joint[m] = clocks[warp][l][m];
        joint[l] = ticks[warp][l]++;
    }
    for (unsigned l = 0; l < 32; l++)
        if (mask >> l & 1) memcpy(clocks[warp][l], joint, sizeof joint);
}

inline bool ordered(const Stamp &s, unsigned thread) {
    if (!s.block) return true;
    if (s.block != block) return false;
    if (s.thread == thread || s.phase < phase) return true;
    return s.thread / 32 == thread / 32 && clocks[thread / 32][thread % 32][s.thread % 32] >= s.tick;
}

// The place of a call as `{library+offset}`, which runtime.py converts to a line.
inline const char *where(const void *place) {
    static char text[600];
    Dl_info info;
    if (!dladdr(place, &info)) return "";
    snprintf(text, sizeof text, " {%s+%#zx}", info.dli_fname,
             size_t(static_cast<const char *>(place) - static_cast<const char *>(info.dli_fbase)) - 1);
    return text;
}

inline const char *name(const Region &region) {
    static char text[64];
    if (region.index == STATIC) return "static shared memory";
    if (region.index == DYNAMIC) return "dynamic shared memory";
    snprintf(text, sizeof text, "argument %u", region.index);
    return text;
}

// Record an access; return an error message, or null.
inline const char *access(const char *address, size_t bytes, Access kind, unsigned thread, const void *place) {
    static char text[1200];
    static const char *const deed[] = {"read", "write", "atomic"};
    const Region *nearest = nullptr;
    for (Region &region : regions) {
        if (address < region.begin) continue;
        size_t at = size_t(address - region.begin);
        if (at >= region.bytes || region.bytes - at < bytes) {
            if (!nearest || region.begin > nearest->begin) nearest = &region;
            continue;
        }
        Stamp stamp{block, phase, ticks[thread / 32][thread % 32], uint16_t(thread), kind == ATOMIC};
        for (size_t c = at / region.cell; c * region.cell < at + bytes; c++) {
            Cell &cell = region.cells.all[c];
            size_t n = c * region.cell;
            const Stamp *other = nullptr;
            const char *did = "wrote";
            if (!region.global && kind != WRITE && !cell.write.block) {
                snprintf(text, sizeof text, "a read of byte %zu of %s, which was never written%s", n, name(region), where(place));
                return text;
            }
            if (!(kind == ATOMIC && cell.write.atomic) && !ordered(cell.write, thread)) other = &cell.write;
            if (kind != READ)
                for (const Stamp &read : cell.reads)
                    if (!other && !ordered(read, thread)) other = &read, did = "read";
            if (other) {
                snprintf(text, sizeof text,
                         "a race: %s of byte %zu of %s, which thread %u of block %u %s, and nothing orders the two%s",
                         deed[kind], n, name(region), other->thread, other->block - 1, did, where(place));
                return text;
            }
            if (kind == READ) {
                Stamp *slot = nullptr;
                for (Stamp &read : cell.reads)
                    if (read.block == block && read.thread == thread) slot = &read;
                for (Stamp &read : cell.reads)
                    if (!slot && ordered(read, thread)) slot = &read;
                *(slot ? slot : &cell.reads[1]) = stamp;
            } else {
                cell.write = stamp;
                cell.reads[0].block = cell.reads[1].block = 0;
            }
        }
        return nullptr;
    }
    bool inside = (address >= arena_begin && address < arena_end) || (address >= shared_begin && address < shared_end);
    if (!inside) return nullptr;  // the thread's stack, or the emulator's memory
    if (nearest)
        snprintf(text, sizeof text, "an access out of bounds: %s of %zu bytes at byte %zu of %s, which has %zu%s", deed[kind],
                 bytes, size_t(address - nearest->begin), name(*nearest), nearest->bytes, where(place));
    else
        snprintf(text, sizeof text, "an access out of bounds: %s of %zu bytes before every array%s", deed[kind], bytes,
                 where(place));
    return text;
}

}  // namespace emu::shadow
