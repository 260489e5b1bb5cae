/*
 * Masks of what people are called and where they live: invented from lists, the same for the same
 * value wherever it stands. An empty text stays empty.
 */
#include <stdlib.h>

#include "rules/mask_families.h"
#include "rules/mask_lists.h"
#include "rules/mask_parts.h"

#define RESULT_MAX 128
#define DOMAIN_MAX 190
/* The part of an address that tells values apart: 80 bits. */
#define TAG_LEN 16

struct writer {
    char text[RESULT_MAX];
    size_t len;
};

/* The lists' longest words fit several times over. */
static void
put(struct writer *to, const char *text)
{
    size_t len = strlen(text);

    if (len > sizeof to->text - to->len)
        len = sizeof to->text - to->len;
    memcpy(to->text + to->len, text, len);
    to->len += len;
}

static void
put_word(struct writer *to, struct ph_draw *draw, const struct ph_mask_list *list)
{
    put(to, list->words[ph_draw_below(draw, list->n)]);
}

static void
put_number(struct writer *to, uint32_t number)
{
    char digits[10];
    size_t n = 0;

    do {
        digits[n++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    while (n > 0) {
        char digit[2] = {digits[--n], '\0'};
        put(to, digit);
    }
}

static void
put_street(struct writer *to, struct ph_draw *draw)
{
    put_number(to, 1 + ph_draw_below(draw, 250));
    put(to, " ");
    put_word(to, draw, &ph_mask_streets);
    put(to, " ");
    put_word(to, draw, &ph_mask_street_kinds);
}

static void
make_first_name(struct writer *to, struct ph_draw *draw)
{
    put_word(to, draw, &ph_mask_first_names);
}

static void
make_last_name(struct writer *to, struct ph_draw *draw)
{
    put_word(to, draw, &ph_mask_last_names);
}

static void
make_name(struct writer *to, struct ph_draw *draw)
{
    put_word(to, draw, &ph_mask_first_names);
    put(to, " ");
    put_word(to, draw, &ph_mask_last_names);
}

static void
make_city(struct writer *to, struct ph_draw *draw)
{
    put_word(to, draw, &ph_mask_cities);
}

static void
make_address(struct writer *to, struct ph_draw *draw)
{
    put_street(to, draw);
    put(to, ", ");
    put_number(to, 10000 + ph_draw_below(draw, 90000));
    put(to, " ");
    put_word(to, draw, &ph_mask_cities);
}

static enum ph_rule_result
run(struct ph_rule_call *call, const struct ph_value *arg, struct ph_value *out,
    void (*make)(struct writer *to, struct ph_draw *draw))
{
    struct ph_draw draw;
    struct writer made = {.len = 0};

    if (arg->len <= 0) {
        *out = *arg;
        return PH_RULE_OK;
    }
    ph_draw_init(&draw, call->state, ph_mask_span(arg));
    make(&made, &draw);
    uint8_t *to = ph_mask_room(call, made.len, out);
    if (to == NULL)
        return PH_RULE_NO_MEMORY;
    memcpy(to, made.text, made.len);
    return PH_RULE_OK;
}

#define MAKE(name, make)                                                                           \
    static enum ph_rule_result run_##name(struct ph_rule_call *call, const struct ph_value *args,  \
                                          struct ph_value *out)                                    \
    {                                                                                              \
        return run(call, &args[0], out, make);                                                     \
    }                                                                                              \
    static bool prepare_##name(struct ph_rule_call *call)                                          \
    {                                                                                              \
        return ph_mask_prepare_prf(call, "pghaul mask_" #name);                                    \
    }

MAKE(name, make_name)
MAKE(first_name, make_first_name)
MAKE(last_name, make_last_name)
MAKE(street, put_street)
MAKE(city, make_city)
MAKE(address, make_address)

/* ---- email: a first name for the eye, 80 bits that tell values apart, a domain ---- */

struct email {
    struct ph_prf prf;
    size_t domain_len;
    char domain[DOMAIN_MAX];
};

static void
release_email(struct ph_rule_call *call)
{
    ph_mask_free(call, sizeof(struct email));
}

static bool
is_domain(const char *text)
{
    size_t len = strlen(text);

    return len > 0 && len <= DOMAIN_MAX &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789.-") == len && text[0] != '.' &&
           text[len - 1] != '.';
}

static bool
prepare_email(struct ph_rule_call *call)
{
    struct email *email = ph_mask_state(call, sizeof *email);
    const char *domain = ph_mask_param(call, 0);

    if (email == NULL)
        return false;
    if (domain == NULL)
        domain = "example.com";
    bool ok = is_domain(domain) ? ph_prf_init_label(&email->prf, call, "pghaul mask_email")
                                : ph_mask_refuse(call, "not a domain in small letters");
    if (!ok) {
        release_email(call);
        return false;
    }
    email->domain_len = strlen(domain);
    memcpy(email->domain, domain, email->domain_len);
    return true;
}

static void
put_tag(struct writer *to, uint64_t high, uint64_t low)
{
    char tag[TAG_LEN + 1];
    unsigned __int128 bits = (unsigned __int128)high << 64 | low;

    for (size_t i = 0; i < TAG_LEN; i++) {
        tag[i] = "abcdefghijklmnopqrstuvwxyz234567"[(unsigned)bits & 31];
        bits >>= 5;
    }
    tag[TAG_LEN] = '\0';
    put(to, tag);
}

static enum ph_rule_result
run_email(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    const struct email *email = call->state;
    struct ph_draw draw;
    struct writer local = {.len = 0};

    if (args[0].len <= 0) {
        *out = args[0];
        return PH_RULE_OK;
    }
    ph_draw_init(&draw, &email->prf, ph_mask_span(&args[0]));
    uint64_t high = ph_draw_word(&draw);
    uint64_t low = ph_draw_word(&draw);
    put_word(&local, &draw, &ph_mask_first_names);
    local.text[0] = (char)(local.text[0] | 0x20);
    put(&local, ".");
    put_tag(&local, high, low);
    put(&local, "@");
    uint8_t *to = ph_mask_room(call, local.len + email->domain_len, out);
    if (to == NULL)
        return PH_RULE_NO_MEMORY;
    memcpy(to, local.text, local.len);
    memcpy(to + local.len, email->domain, email->domain_len);
    return PH_RULE_OK;
}

#define MASK (PH_RULE_SECRET | PH_RULE_MASK)
#define ROW(name, help)                                                                            \
    {                                                                                              \
        "mask_" #name, "text -> text", NULL, MASK, run_##name, prepare_##name,                     \
            ph_mask_release_prf, help                                                              \
    }

const struct ph_rule_op ph_mask_person_ops[PH_MASK_PERSON_OPS] = {
    ROW(name, "a first and a last name"),
    ROW(first_name, "a first name"),
    ROW(last_name, "a last name"),
    {"mask_email", "text -> text", "domain?", MASK | PH_RULE_INJECTIVE, run_email, prepare_email,
     release_email, "an address at example.com or that domain, another for each"},
    ROW(address, "street, postal code and town in one line"),
    ROW(street, "number and street"),
    ROW(city, "a town"),
};
