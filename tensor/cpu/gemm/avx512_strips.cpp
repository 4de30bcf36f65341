// The AVX-512 strips of gemm: a few rows with a transposed matrix, as in decoding, where reading
// the matrix once is all the time there is. Their pairs of bf16 are in gemm_avx512_bf16.cpp.

#include "tensor/cpu/gemm/avx512.h"

#if defined(__x86_64__)

#include <algorithm>
#include <array>
#include <cstdint>

namespace vila::cpu_kernels {

namespace {

using namespace avx512;

// Prefetches a line of each column of a half, a little ahead of its loads.
VILA_TARGET_AVX512 VILA_ALWAYS_INLINE void fetch_near(const GemmStrip& s, int64_t at, int half) {
    const char* from = static_cast<const char*>(s.b) + at + kAheadLines * kLineBytes +
                       half * kLanes * s.column_bytes;
#pragma GCC unroll 16
    for (int j = 0; j < kLanes; ++j) _mm_prefetch(from + j * s.column_bytes, _MM_HINT_T0);
}

template <int kCount>
VILA_TARGET_AVX512 VILA_ALWAYS_INLINE void add_step(const float* a, int64_t a_row, __m512 b,
                                                    __m512* sums) {
#pragma GCC unroll 4
    for (int r = 0; r < kCount; ++r)
        sums[2 * r] = _mm512_fmadd_ps(_mm512_set1_ps(a[r * a_row]), b, sums[2 * r]);
}

// Two steps of 16 columns, bf16 side by side in a register of words.
template <int kCount>
VILA_TARGET_AVX512 VILA_ALWAYS_INLINE void add_pair(const float* a, int64_t a_row, __m512 word,
                                                    __m512* sums) {
    const __m512i bits = _mm512_castps_si512(word);
    const __m512i high = _mm512_and_si512(bits, _mm512_set1_epi32(~0xffff));
    add_step<kCount>(a, a_row, _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16)), sums);
    add_step<kCount>(a + 1, a_row, _mm512_castsi512_ps(high), sums);
}

// The last steps, fewer than a register of a column holds.
template <int kCount, typename T>
VILA_TARGET_AVX512 void add_last_steps(const GemmStrip& s, int64_t p, __m512 (&sums)[kCount][2]) {
    const GemmTile& t = s.tile;
    for (; p < t.k; ++p) {
        alignas(64) float b[kColumns] = {};
        for (int64_t j = 0; j < s.columns; ++j)
            b[j] = static_cast<float>(
                reinterpret_cast<const T*>(static_cast<const char*>(s.b) + j * s.column_bytes)[p]);
        for (int half = 0; half < 2; ++half)
            add_step<kCount>(t.a + p, t.a_row, _mm512_load_ps(b + half * kLanes), &sums[0][half]);
    }
}

// One cache line of each of 16 columns, transposed in registers: 16 x 16 words.
template <int kCount>
VILA_TARGET_AVX512 VILA_ALWAYS_INLINE void add_square(const GemmStrip& s, int64_t p, int half,
                                                      __m512 (&sums)[kCount][2]) {
    __m512 square[kLanes];
    load_words(s, p * static_cast<int64_t>(sizeof(float)), half, square);
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i)
        add_step<kCount>(s.tile.a + p + i, s.tile.a_row, square[i], &sums[0][half]);
}

// f32: a chain adds a cache line per column as fast as memory delivers it, so one half of the
// columns after the other, sixteen streams.
template <int kCount>
VILA_TARGET_AVX512 void strip_f32(const GemmStrip& s) {
    constexpr int64_t kSteps = kLineBytes / static_cast<int64_t>(sizeof(float));
    __m512 sums[kCount][2] = {};
    const int64_t whole = s.tile.k / kSteps * kSteps;
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
        for (int64_t p = 0; p < whole; p += kSteps) {
            fetch_near(s, p * static_cast<int64_t>(sizeof(float)), half);
            add_square<kCount>(s, p, half, sums);
        }
    }
    if (whole < s.tile.k) add_last_steps<kCount, float>(s, whole, sums);
    store_tile<kCount>(s.tile, sums);
}

// The last lines of each column of a strip: line l of a column stands at l % kLines, and the first
// of the ring once more behind its end, so that any 64 bytes of two lines in a row lie together.
struct LineRing {
    static constexpr int64_t kLines = 4;
    static constexpr int64_t kColumnBytes = (kLines + 1) * kLineBytes;
    alignas(kLineBytes) char bytes[kColumns * kColumnBytes];
};

// A quarter of the columns: copies their lines at `from` as line number `line`, and fetches those
// at `ahead`. Of a line at the edge only the bf16 of `mask` are the column's. Columns beyond the
// last are the last one again.
template <bool kAllColumns, bool kEdge>
VILA_TARGET_AVX512 VILA_ALWAYS_INLINE void copy_lines(const GemmStrip& s, int quarter, int64_t line,
                                                      const char* from, __mmask32 mask,
                                                      const char* ahead, LineRing& ring) {
    const int64_t slot = line % LineRing::kLines;
    char* const to = ring.bytes + slot * kLineBytes;
    char* const again = slot == 0 ? to + LineRing::kLines * kLineBytes : to;
#pragma GCC unroll 8
    for (int64_t j = quarter * kColumns / 4; j < (quarter + 1) * kColumns / 4; ++j) {
        const int64_t at = (kAllColumns ? j : std::min(j, s.columns - 1)) * s.column_bytes;
        _mm_prefetch(ahead + at, _MM_HINT_T1);
        const __m512i bytes =
            kEdge ? _mm512_maskz_loadu_epi16(mask, from + at) : _mm512_loadu_si512(from + at);
        _mm512_store_si512(to + j * LineRing::kColumnBytes, bytes);
        _mm512_store_si512(again + j * LineRing::kColumnBytes, bytes);
    }
}

// Four words of 16 columns that stand one column's bytes of a ring apart: lane j of words[i] is
// word i of column j. The loads put four columns beside each other, unpacking does the rest.
VILA_TARGET_AVX512 VILA_ALWAYS_INLINE void load_quarter(const char* from, __m512 (&words)[4]) {
    const auto piece = [=](int j) VILA_TARGET_AVX512 {
        return _mm_loadu_ps(reinterpret_cast<const float*>(from + j * LineRing::kColumnBytes));
    };
    __m512 r[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
        r[i] = _mm512_broadcast_f32x4(piece(i));
        r[i] = _mm512_mask_broadcast_f32x4(r[i], 0x00f0, piece(4 + i));
        r[i] = _mm512_mask_broadcast_f32x4(r[i], 0x0f00, piece(8 + i));
        r[i] = _mm512_mask_broadcast_f32x4(r[i], 0xf000, piece(12 + i));
    }
    const __m512d low_01 = _mm512_castps_pd(_mm512_unpacklo_ps(r[0], r[1]));
    const __m512d high_01 = _mm512_castps_pd(_mm512_unpackhi_ps(r[0], r[1]));
    const __m512d low_23 = _mm512_castps_pd(_mm512_unpacklo_ps(r[2], r[3]));
    const __m512d high_23 = _mm512_castps_pd(_mm512_unpackhi_ps(r[2], r[3]));
    words[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(low_01, low_23));
    words[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low_01, low_23));
    words[2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high_01, high_23));
    words[3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high_01, high_23));
}

// Where in the cache's lines all columns begin: 0 also where they differ, or cut a bf16 in two.
int64_t common_offset(const GemmStrip& s) {
    const auto offset = static_cast<int64_t>(reinterpret_cast<uintptr_t>(s.b) % kLineBytes);
    return s.column_bytes % kLineBytes == 0 && offset % 2 == 0 ? offset : 0;
}

// bf16: a line takes a chain twice as long, so the chains of both halves run side by side, a few
// steps at a time. Lines are copied into a ring two steps ahead: columns are often a power of two
// apart, and then their lines share a set of the first cache level and push each other out. Copying
// and fetching are spread over the arithmetic: in bursts they would wait for each other.
//
// Tensors of a file begin at any multiple of eight bytes. A load that straddles two lines of the
// cache costs two, so where all columns have the same offset, the cache's lines are what is copied.
template <int kCount, bool kAllColumns>
VILA_TARGET_AVX512 void strip_lines(const GemmStrip& s) {
    constexpr int64_t kSteps = kLineBytes / 2;
    VILA_ASSERT(s.step_block % kSteps == 0 || s.step_block >= s.tile.k);
    __m512 sums[kCount][2] = {};
    GemmTile tile = s.tile;
    const auto end_block = [&]() VILA_TARGET_AVX512 {
        store_tile<kCount>(tile, sums);
        tile.bias = nullptr;
        tile.add = true;
        for (__m512(&row)[2] : sums) row[0] = row[1] = _mm512_setzero_ps();
    };
    const int64_t steps = s.tile.k / kSteps;
    LineRing ring;
    const int64_t offset = common_offset(s);
    const int64_t lines = steps == 0 ? 0 : steps + (offset > 0 ? 1 : 0);
    const char* const b = static_cast<const char*>(s.b) - offset;
    const auto copy_line = [&](int64_t line, int quarter, const char* ahead)
        __attribute__((always_inline)) VILA_TARGET_AVX512 {
        const char* const from = b + line * kLineBytes;
        if (offset == 0 || (line > 0 && line < lines - 1)) {
            copy_lines<kAllColumns, false>(s, quarter, line, from, 0, ahead, ring);
        } else {
            const auto before = static_cast<__mmask32>((uint64_t{1} << (offset / 2)) - 1);
            copy_lines<kAllColumns, true>(s, quarter, line, from, line == 0 ? ~before : before,
                                          ahead, ring);
        }
    };
    constexpr int64_t kCopied = 2, kFetched = 4;  // lines ahead
    for (int64_t line = 0; line < std::min(kCopied, lines); ++line)
        for (int quarter = 0; quarter < 4; ++quarter)
            copy_line(line, quarter, b + (line + kCopied) * kLineBytes);
    for (int64_t step = 0; step < steps; ++step) {
        const int64_t line = std::min(step + kCopied, lines - 1), later = step + kFetched - lines;
        const char* const ahead =
            later < 0 ? b + (step + kFetched) * kLineBytes : s.next_b + later * kLineBytes;
        const char* const columns = ring.bytes + step % LineRing::kLines * kLineBytes + offset;
        if (step > 0 && step * kSteps % s.step_block == 0) end_block();
#pragma GCC unroll 4
        for (int quarter = 0; quarter < 4; ++quarter) {
            copy_line(line, quarter, ahead);
            __m512 words[2][4];
            const char* const from = columns + quarter * kLineBytes / 4;
            load_quarter(from, words[0]);
            load_quarter(from + kLanes * LineRing::kColumnBytes, words[1]);
            const float* const a = s.tile.a + step * kSteps + quarter * kSteps / 4;
#pragma GCC unroll 4
            for (int i = 0; i < 4; ++i)
#pragma GCC unroll 2
                for (int half = 0; half < 2; ++half)
                    add_pair<kCount>(a + 2 * i, s.tile.a_row, words[half][i], &sums[0][half]);
        }
    }
    const int64_t whole = steps * kSteps;
    if (whole > 0 && whole < s.tile.k && whole % s.step_block == 0) end_block();
    if (whole < s.tile.k) add_last_steps<kCount, BFloat16>(s, whole, sums);
    store_tile<kCount>(tile, sums);
}

template <int kCount>
VILA_TARGET_AVX512 void strip_bf16(const GemmStrip& s) {
    s.columns == kColumns ? strip_lines<kCount, true>(s) : strip_lines<kCount, false>(s);
}

using Strips = std::array<void (*)(const GemmStrip&), kStripRows>;
constexpr Strips kStrips = {strip_by_blocks<strip_f32<1>>, strip_by_blocks<strip_f32<2>>,
                            strip_by_blocks<strip_f32<3>>, strip_by_blocks<strip_f32<4>>};
constexpr Strips kStripsBf16 = {strip_bf16<1>, strip_bf16<2>, strip_bf16<3>, strip_bf16<4>};

}  // namespace

namespace avx512 {

std::span<void (*const)(const GemmStrip&)> strips_f32() {
    return kStrips;
}

std::span<void (*const)(const GemmStrip&)> strips_bf16() {
    return kStripsBf16;
}

}  // namespace avx512

}  // namespace vila::cpu_kernels

#endif
