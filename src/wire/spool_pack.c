#include "wire/spool_pack.h"

#include <assert.h>
#include <lz4.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

/* Shorter bodies are not worth the call. */
#define PACK_MIN 64u
#define ZSTD_LEVEL 1

void
ph_spool_packer_init(struct ph_spool_packer *packer, enum ph_spool_packing packing)
{
    *packer = (struct ph_spool_packer){.packing = packing};
}

void
ph_spool_packer_free(struct ph_spool_packer *packer)
{
    free(packer->lz4);
    ZSTD_freeCCtx(packer->zstd);
    ZSTD_freeDCtx(packer->unzstd);
    ph_spool_packer_init(packer, packer->packing);
}

/* The packed length, 0: it would not get smaller, or there is no memory to try. */
static size_t
pack_lz4(struct ph_spool_packer *packer, struct ph_span raw, uint8_t *into)
{
    if (packer->lz4 == NULL)
        packer->lz4 = malloc((size_t)LZ4_sizeofState());
    if (packer->lz4 == NULL)
        return 0;
    int len = LZ4_compress_fast_extState(packer->lz4, (const char *)raw.data, (char *)into,
                                         (int)raw.len, (int)raw.len - 1, 1);
    return len > 0 ? (size_t)len : 0;
}

static size_t
pack_zstd(struct ph_spool_packer *packer, struct ph_span raw, uint8_t *into)
{
    if (packer->zstd == NULL)
        packer->zstd = ZSTD_createCCtx();
    if (packer->zstd == NULL)
        return 0;
    size_t len = ZSTD_compressCCtx(packer->zstd, into, raw.len - 1, raw.data, raw.len, ZSTD_LEVEL);
    return ZSTD_isError(len) ? 0 : len;
}

static size_t
pack(struct ph_spool_packer *packer, struct ph_span raw, uint8_t *into)
{
    if (raw.len < PACK_MIN)
        return 0;
    switch (packer->packing) {
    case PH_PACK_NONE:
        return 0;
    case PH_PACK_LZ4:
        return pack_lz4(packer, raw, into);
    case PH_PACK_ZSTD:
        return pack_zstd(packer, raw, into);
    }
    return 0;
}

ph_code
ph_frame_build(struct ph_spool_packer *packer, struct ph_frame *frame, uint64_t key,
               uint64_t offset, struct ph_span raw, struct ph_buf *out, struct ph_error *err)
{
    if (raw.len > PH_FRAME_RAW_MAX)
        return PH_FAIL(err, PH_E_ROW_TOO_LARGE, "%zu bytes do not fit a frame of the spool",
                       raw.len);
    ph_buf_clear(out);
    if (!ph_buf_reserve(out, PH_FRAME_HEADER_SIZE + raw.len))
        return PH_FAIL(err, PH_E_MEMORY, "no memory for a frame of %zu bytes", raw.len);
    uint8_t *body = out->data + PH_FRAME_HEADER_SIZE;
    size_t len = pack(packer, raw, body);
    frame->packing = len > 0 ? packer->packing : PH_PACK_NONE;
    if (len == 0 && raw.len > 0)
        memcpy(body, raw.data, raw.len);
    if (len == 0)
        len = raw.len;
    frame->raw_len = (uint32_t)raw.len;
    frame->stored_len = (uint32_t)len;
    frame->body_sum = ph_frame_body_sum((struct ph_span){body, len});
    ph_frame_encode(frame, key, offset, out->data);
    out->len = PH_FRAME_HEADER_SIZE + len;
    return PH_OK;
}

static bool
unpack(struct ph_spool_packer *packer, const struct ph_frame *frame, struct ph_span stored,
       uint8_t *into)
{
    if (frame->packing == PH_PACK_LZ4) {
        int len = LZ4_decompress_safe((const char *)stored.data, (char *)into, (int)stored.len,
                                      (int)frame->raw_len);
        return len >= 0 && (uint32_t)len == frame->raw_len;
    }
    size_t len = ZSTD_decompressDCtx(packer->unzstd, into, frame->raw_len, stored.data, stored.len);
    return !ZSTD_isError(len) && len == frame->raw_len;
}

ph_code
ph_frame_unpack(struct ph_spool_packer *packer, const struct ph_frame *frame, struct ph_span stored,
                struct ph_buf *out, struct ph_span *raw, struct ph_error *err)
{
    assert(stored.len == frame->stored_len);
    if (ph_frame_body_sum(stored) != frame->body_sum)
        return PH_FAIL(err, PH_E_SPOOL_DAMAGED, "the body's checksum is wrong");
    if (frame->packing == PH_PACK_NONE) {
        *raw = stored;
        return PH_OK;
    }
    if (frame->packing == PH_PACK_ZSTD && packer->unzstd == NULL)
        packer->unzstd = ZSTD_createDCtx();
    ph_buf_clear(out);
    if ((frame->packing == PH_PACK_ZSTD && packer->unzstd == NULL) ||
        !ph_buf_reserve(out, frame->raw_len))
        return PH_FAIL(err, PH_E_MEMORY, "no memory for a frame of %u bytes",
                       (unsigned)frame->raw_len);
    if (!unpack(packer, frame, stored, out->data))
        return PH_FAIL(err, PH_E_SPOOL_DAMAGED, "the body can not be unpacked");
    out->len = frame->raw_len;
    *raw = (struct ph_span){out->data, out->len};
    return PH_OK;
}
