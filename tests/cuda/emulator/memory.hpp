// Memory that the arrays of a launch are copied to, between guards and far from all other memory.
#pragma once

#include <cstddef>
#include <cstring>
#include <string>
#include <sys/mman.h>
#include <utility>
#include <vector>

#include "core.hpp"

namespace emu {

constexpr size_t GUARD = 4096;              // bytes around each array
constexpr size_t REACH = size_t(1) << 30;   // distance from an array up to which wild accesses are certain to be caught
constexpr unsigned char GUARD_BYTE = 0xFF;  // as a float, NaN

inline char *reserve(size_t bytes, int protection) {
    void *memory = mmap(nullptr, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? nullptr : static_cast<char *>(memory);
}

// The arrays of a launch, between guards.
struct Arena {
    char *begin = nullptr;
    size_t open = 0;  // accessible bytes

    bool grow(size_t bytes) {
        if (!begin) {
            char *all = reserve(4 * REACH, PROT_NONE);
            if (!all) return false;
            begin = all + REACH;
        }
        if (bytes <= open) return true;
        if (bytes > 2 * REACH) return false;
        bytes = (bytes + 0xFFFFF) & ~size_t(0xFFFFF);
        if (mprotect(begin + open, bytes - open, PROT_READ | PROT_WRITE)) return false;
        open = bytes;
        return true;
    }
};

inline bool guard_kept(const char *guard) {
    static const std::vector<char> pattern(GUARD, char(GUARD_BYTE));
    return !memcmp(guard, pattern.data(), GUARD);
}

// Arrays that overlap are copied as one piece of memory, so that they overlap in the arena.
struct Piece {
    char *data;
    size_t bytes;
    unsigned index, offset, element;
    bool constant;
    char *copy;
    std::vector<char> first;  // the outcome of the first run
};

inline std::vector<Piece> pieces_of(const Launch &l) {
    std::vector<Piece> pieces;
    for (unsigned n = 0; n < l.count; n++) {
        const Array &a = l.arrays[n];
        if (a.bytes) pieces.push_back({a.data, a.bytes, a.index, a.offset, a.element, a.constant, nullptr, {}});
    }
    for (size_t n = 1; n < pieces.size(); n++)  // few: insertion sort
        for (size_t m = n; m && pieces[m].data < pieces[m - 1].data; m--) std::swap(pieces[m], pieces[m - 1]);
    std::vector<Piece> merged;
    for (Piece &p : pieces) {
        if (merged.size() && p.data < merged.back().data + merged.back().bytes) {
            Piece &last = merged.back();
            char *end = p.data + p.bytes;
            if (end > last.data + last.bytes) last.bytes = size_t(end - last.data);
            if (p.element < last.element) last.element = p.element;
            if (!p.constant && last.constant) last.constant = false, last.index = p.index;
        } else {
            merged.push_back(std::move(p));
        }
    }
    return merged;
}

inline bool place(Arena &arena, std::vector<Piece> &pieces, std::string &error) {
    size_t at = 0;
    for (int pass = 0; pass < 2; pass++) {
        at = 0;
        for (Piece &p : pieces) {
            at += GUARD;
            at = ((at + 255) & ~size_t(255)) + p.offset;
            if (pass) p.copy = arena.begin + at;
            at += p.bytes;
        }
        at += GUARD;
        if (!pass && !arena.grow(at)) {
            error = "its arrays need " + std::to_string(at) + " bytes: more than the emulator's arena holds";
            return false;
        }
    }
    return true;
}

inline void fill(std::vector<Piece> &pieces) {
    for (Piece &p : pieces) {
        memset(p.copy - GUARD, GUARD_BYTE, GUARD);
        memcpy(p.copy, p.data, p.bytes);
        memset(p.copy + p.bytes, GUARD_BYTE, GUARD);
    }
}

inline bool kept(std::vector<Piece> &pieces, std::string &error) {
    for (Piece &p : pieces) {
        bool before = guard_kept(p.copy - GUARD), after = guard_kept(p.copy + p.bytes);
        if (!before || !after) {
            error = std::string("a write ") + (before ? "past the end of" : "before the start of") + " argument " +
                    std::to_string(p.index) + " (" + std::to_string(p.bytes) + " bytes)";
            return false;
        }
        if (p.constant && memcmp(p.copy, p.data, p.bytes)) {
            error = "a write to argument " + std::to_string(p.index) + ", which is const";
            return false;
        }
    }
    return true;
}

}  // namespace emu
