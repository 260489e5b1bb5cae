/* See walsender.h. */
#include "wire/walsender.h"

/* Microseconds from 1970 to 2000, where the server's clock begins. */
#define EPOCH_US INT64_C(946684800000000)

static bool
take_time(struct ph_cursor *in, int64_t *out)
{
    uint64_t us;

    if (!ph_take_u64(in, &us))
        return false;
    *out = (int64_t)(us + (uint64_t)EPOCH_US);
    return true;
}

static bool
take_data(struct ph_cursor *in, struct ph_walsender_message *out)
{
    out->item = PH_WALSENDER_DATA;
    return ph_take_u64(in, &out->wal_start) && ph_take_u64(in, &out->wal_end) &&
           take_time(in, &out->sent_us) && ph_take_span(in, ph_cursor_left(in), &out->payload);
}

static bool
take_keepalive(struct ph_cursor *in, struct ph_walsender_message *out)
{
    uint8_t reply;

    out->item = PH_WALSENDER_KEEPALIVE;
    if (!ph_take_u64(in, &out->wal_end) || !take_time(in, &out->sent_us) || !ph_take_u8(in, &reply))
        return false;
    out->reply_wanted = reply != 0;
    return ph_cursor_left(in) == 0;
}

ph_code
ph_walsender_read(struct ph_span bytes, struct ph_walsender_message *out, struct ph_error *err)
{
    struct ph_cursor in = ph_cursor_of(bytes.data, bytes.len);
    uint8_t type;

    *out = (struct ph_walsender_message){0};
    if (!ph_take_u8(&in, &type) || (type != 'w' && type != 'k'))
        return PH_FAIL(err, PH_E_PROTOCOL, "the server sent an unknown replication message");
    if (type == 'w' ? take_data(&in, out) : take_keepalive(&in, out))
        return PH_OK;
    return PH_FAIL(err, PH_E_PROTOCOL, "the server sent a replication message '%c' of %zu bytes",
                   type, bytes.len);
}

void
ph_walsender_put_status(const struct ph_walsender_status *status, int64_t now_us,
                        uint8_t out[PH_WALSENDER_STATUS_BYTES])
{
    out[0] = 'r';
    ph_store_u64(out + 1, status->written);
    ph_store_u64(out + 9, status->flushed);
    ph_store_u64(out + 17, status->applied);
    ph_store_u64(out + 25, (uint64_t)(now_us - EPOCH_US));
    out[33] = 1; /* a reply is wanted: a server that has nothing to send is not one that is away */
}
