// The AVX-512 kernels of gemm for skinny panels: a few rows with a transposed matrix, as in
// decoding, where the time is that of reading the matrix once. Those for VNNI pairs are in
// avx512_bf16.cpp.

#include "tensor/cpu/gemm/avx512.h"

#if defined(__x86_64__)

#include <algorithm>
#include <array>
#include <cstdint>

namespace vila::cpu_kernels {

namespace {

using namespace avx512;

// Prefetches a line of each column of a half, kAheadLines ahead of its loads.
VILA_TARGET_AVX512 VILA_ALWAYS_INLINE void prefetch_lines(const SkinnyPanel& s, int64_t at,
                                                          int half) {
    const char* from = static_cast<const char*>(s.b) + at + kAheadLines * kLineBytes +
                       half * kLanes * s.column_bytes;
#pragma GCC unroll 16
    for (int j = 0; j < kLanes; ++j) _mm_prefetch(from + j * s.column_bytes, _MM_HINT_T0);
}

template <int kCount>
VILA_TARGET_AVX512 VILA_ALWAYS_INLINE void add_product(const float* a, int64_t a_row_stride,
                                                       __m512 b, __m512* sums) {
#pragma GCC unroll 4
    for (int r = 0; r < kCount; ++r)
        sums[2 * r] = _mm512_fmadd_ps(_mm512_set1_ps(a[r * a_row_stride]), b, sums[2 * r]);
}

// Adds two products of 16 columns, whose bf16 are neighbors in a register of words.
template <int kCount>
VILA_TARGET_AVX512 VILA_ALWAYS_INLINE void add_two_products(const float* a, int64_t a_row_stride,
                                                            __m512 word, __m512* sums) {
    const __m512i bits = _mm512_castps_si512(word);
    const __m512i high = _mm512_and_si512(bits, _mm512_set1_epi32(~0xffff));
    add_product<kCount>(a, a_row_stride, _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16)), sums);
    add_product<kCount>(a + 1, a_row_stride, _mm512_castsi512_ps(high), sums);
}

// Adds the products of the last k, fewer than a register of a column holds.
template <int kCount, typename T>
VILA_TARGET_AVX512 void add_tail(const SkinnyPanel& s, int64_t p, __m512 (&sums)[kCount][2]) {
    const GemmTile& t = s.tile;
    for (; p < t.k; ++p) {
        alignas(64) float b[kNr] = {};
        for (int64_t j = 0; j < s.columns; ++j)
            b[j] = static_cast<float>(
                reinterpret_cast<const T*>(static_cast<const char*>(s.b) + j * s.column_bytes)[p]);
        for (int half = 0; half < 2; ++half)
            add_product<kCount>(t.a + p, t.a_row_stride, _mm512_load_ps(b + half * kLanes),
                                &sums[0][half]);
    }
}

// Adds the products of one cache line of each of 16 columns, transposed in registers: 16 x 16
// words.
template <int kCount>
VILA_TARGET_AVX512 VILA_ALWAYS_INLINE void add_square(const SkinnyPanel& s, int64_t p, int half,
                                                      __m512 (&sums)[kCount][2]) {
    __m512 square[kLanes];
    load_words(s, p * static_cast<int64_t>(sizeof(float)), half, square);
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i)
        add_product<kCount>(s.tile.a + p + i, s.tile.a_row_stride, square[i], &sums[0][half]);
}

// f32: a chain adds a cache line per column as fast as memory delivers it, so the kernel reads one
// half of the columns after the other, sixteen streams each.
template <int kCount>
VILA_TARGET_AVX512 void skinny_block_f32(const SkinnyPanel& s) {
    constexpr int64_t kPerLine = kLineBytes / static_cast<int64_t>(sizeof(float));
    __m512 sums[kCount][2] = {};
    const int64_t whole = s.tile.k / kPerLine * kPerLine;
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
        for (int64_t p = 0; p < whole; p += kPerLine) {
            prefetch_lines(s, p * static_cast<int64_t>(sizeof(float)), half);
            add_square<kCount>(s, p, half, sums);
        }
    }
    if (whole < s.tile.k) add_tail<kCount, float>(s, whole, sums);
    store_tile<kCount>(s.tile, sums);
}

// The last lines of each column of a panel: line l of a column is at l % kLines. The first line of
// the ring is repeated after its end, so that any 64 bytes of two consecutive lines are contiguous.
struct LineRing {
    static constexpr int64_t kLines = 4;
    static constexpr int64_t kColumnBytes = (kLines + 1) * kLineBytes;
    alignas(kLineBytes) char bytes[kNr * kColumnBytes];
};

// Copies the lines at `from` of a quarter of the columns as line number `line`, and prefetches
// those at `ahead`. In a line at the edge, only the bf16 of `mask` belong to the column. Columns
// beyond the last repeat it.
template <bool kAllColumns, bool kEdge>
VILA_TARGET_AVX512 VILA_ALWAYS_INLINE void copy_lines(const SkinnyPanel& s, int quarter,
                                                      int64_t line, const char* from,
                                                      __mmask32 mask, const char* ahead,
                                                      LineRing& ring) {
    const int64_t slot = line % LineRing::kLines;
    char* const to = ring.bytes + slot * kLineBytes;
    char* const again = slot == 0 ? to + LineRing::kLines * kLineBytes : to;
#pragma GCC unroll 8
    for (int64_t j = quarter * kNr / 4; j < (quarter + 1) * kNr / 4; ++j) {
        const int64_t at = (kAllColumns ? j : std::min(j, s.columns - 1)) * s.column_bytes;
        _mm_prefetch(ahead + at, _MM_HINT_T1);
        const __m512i bytes =
            kEdge ? _mm512_maskz_loadu_epi16(mask, from + at) : _mm512_loadu_si512(from + at);
        _mm512_store_si512(to + j * LineRing::kColumnBytes, bytes);
        _mm512_store_si512(again + j * LineRing::kColumnBytes, bytes);
    }
}

// Loads four words of 16 columns of a ring and transposes them: lane j of words[i] is word i of
// column j. The loads put four columns side by side, transpose_4x4 does the rest.
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
    transpose_4x4(r, words);
}

// The offset of all columns from the beginning of a cache line; 0 also where the columns differ in
// it, or where it cuts a bf16 in two.
int64_t common_offset(const SkinnyPanel& s) {
    const auto offset = static_cast<int64_t>(reinterpret_cast<uintptr_t>(s.b) % kLineBytes);
    return s.column_bytes % kLineBytes == 0 && offset % 2 == 0 ? offset : 0;
}

// Copies the cache lines of the columns of a bf16 panel into a ring. Columns are often a power of
// two apart, and then their lines share a set of the first cache level and evict each other. (The
// ring is no member, so that the members stay in registers.)
//
// Tensors of a file begin at any multiple of eight bytes. A load that straddles two cache lines
// costs two, so where all columns have the same offset, whole cache lines are copied.
template <bool kAllColumns>
struct LineCopier {
    const SkinnyPanel& s;
    int64_t offset;  // of the columns in their first cache line
    int64_t lines;   // cache lines that hold the columns
    const char* b;   // the first cache line

    // `full` is the number of 64-byte pieces of each column.
    LineCopier(const SkinnyPanel& panel, int64_t full)
        : s(panel),
          offset(common_offset(panel)),
          lines(full == 0 ? 0 : full + (offset > 0 ? 1 : 0)),
          b(static_cast<const char*>(panel.b) - offset) {}

    // Copies line number `line` of a quarter of the columns, and prefetches the lines at `ahead`.
    VILA_TARGET_AVX512 VILA_ALWAYS_INLINE void copy(int64_t line, int quarter, const char* ahead,
                                                    LineRing& ring) const {
        const char* const from = b + line * kLineBytes;
        if (offset == 0 || (line > 0 && line < lines - 1)) {
            copy_lines<kAllColumns, false>(s, quarter, line, from, 0, ahead, ring);
        } else {
            const auto before = static_cast<__mmask32>((uint64_t{1} << (offset / 2)) - 1);
            copy_lines<kAllColumns, true>(s, quarter, line, from, line == 0 ? ~before : before,
                                          ahead, ring);
        }
    }
    // The address of line number `line`, in this panel or in the one that follows.
    const char* address(int64_t line) const {
        return line < lines ? b + line * kLineBytes : s.next_b + (line - lines) * kLineBytes;
    }
};

// Adds the products of a quarter of a piece: 8 k of all columns, at `columns` in a ring.
template <int kCount>
VILA_TARGET_AVX512 VILA_ALWAYS_INLINE void add_quarter(const float* a, int64_t a_row_stride,
                                                       const char* columns,
                                                       __m512 (&sums)[kCount][2]) {
    __m512 words[2][4];
    load_quarter(columns, words[0]);
    load_quarter(columns + kLanes * LineRing::kColumnBytes, words[1]);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i)
#pragma GCC unroll 2
        for (int half = 0; half < 2; ++half)
            add_two_products<kCount>(a + 2 * i, a_row_stride, words[half][i], &sums[0][half]);
}

// Stores the sums of a block of k; later blocks are added to them.
template <int kCount>
VILA_TARGET_AVX512 VILA_ALWAYS_INLINE void end_block(GemmTile& tile, __m512 (&sums)[kCount][2]) {
    store_tile<kCount>(tile, sums);
    tile.bias = nullptr;
    tile.accumulate = true;
    for (__m512(&row)[2] : sums) row[0] = row[1] = _mm512_setzero_ps();
}

// bf16: a line takes a chain twice as long as in f32, so the chains of both halves of the columns
// run side by side, a few k at a time. Lines are copied into the ring two pieces ahead. Copies and
// prefetches are spread over the arithmetic: in bursts they would wait for each other.
template <int kCount, bool kAllColumns>
VILA_TARGET_AVX512 void skinny_columns_bf16(const SkinnyPanel& s) {
    constexpr int64_t kPerLine = kLineBytes / 2;
    constexpr int64_t kCopied = 2, kPrefetched = 4;  // lines ahead
    VILA_ASSERT(s.kc % kPerLine == 0 || s.kc >= s.tile.k);
    __m512 sums[kCount][2] = {};
    GemmTile tile = s.tile;
    const int64_t pieces = s.tile.k / kPerLine;
    LineRing ring;
    const LineCopier<kAllColumns> copier(s, pieces);
    for (int64_t line = 0; line < std::min(kCopied, copier.lines); ++line)
        for (int quarter = 0; quarter < 4; ++quarter)
            copier.copy(line, quarter, copier.b + (line + kCopied) * kLineBytes, ring);
    for (int64_t piece = 0; piece < pieces; ++piece) {
        const int64_t line = std::min(piece + kCopied, copier.lines - 1);
        const char* const ahead = copier.address(piece + kPrefetched);
        const char* const columns =
            ring.bytes + piece % LineRing::kLines * kLineBytes + copier.offset;
        if (piece > 0 && piece * kPerLine % s.kc == 0) end_block<kCount>(tile, sums);
#pragma GCC unroll 4
        for (int quarter = 0; quarter < 4; ++quarter) {
            copier.copy(line, quarter, ahead, ring);
            add_quarter<kCount>(s.tile.a + piece * kPerLine + quarter * kPerLine / 4,
                                s.tile.a_row_stride, columns + quarter * kLineBytes / 4, sums);
        }
    }
    const int64_t whole = pieces * kPerLine;
    if (whole > 0 && whole < s.tile.k && whole % s.kc == 0) end_block<kCount>(tile, sums);
    if (whole < s.tile.k) add_tail<kCount, BFloat16>(s, whole, sums);
    store_tile<kCount>(tile, sums);
}

template <int kCount>
VILA_TARGET_AVX512 void skinny_panel_bf16(const SkinnyPanel& s) {
    s.columns == kNr ? skinny_columns_bf16<kCount, true>(s) : skinny_columns_bf16<kCount, false>(s);
}

using SkinnyKernels = std::array<void (*)(const SkinnyPanel&), kVectorSkinnyRows>;
constexpr SkinnyKernels kSkinny = {
    over_k_blocks<skinny_block_f32<1>>, over_k_blocks<skinny_block_f32<2>>,
    over_k_blocks<skinny_block_f32<3>>, over_k_blocks<skinny_block_f32<4>>};
constexpr SkinnyKernels kSkinnyBf16 = {skinny_panel_bf16<1>, skinny_panel_bf16<2>,
                                       skinny_panel_bf16<3>, skinny_panel_bf16<4>};

}  // namespace

namespace avx512 {

std::span<void (*const)(const SkinnyPanel&)> skinny_kernels_f32() {
    return kSkinny;
}

std::span<void (*const)(const SkinnyPanel&)> skinny_kernels_bf16() {
    return kSkinnyBf16;
}

}  // namespace avx512

}  // namespace vila::cpu_kernels

#endif
