/*
 * PostgreSQL has Ryu for this; here digits are tried in number: 15 (6 of float4) always read back
 * when the shortest form has no more, so two or three attempts do. Like PostgreSQL's, a form that
 * lies exactly between two floats is not taken: not every reader rounds it to the even one.
 */
#include "rules/shortest.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct float_kind {
    int digits_safe; /* decimal digits that survive a round trip */
    int digits_most; /* that tell any two floats apart */
    int plain_below; /* powers of ten from here on are printed with an exponent */
    double normal_min;
    double (*read)(const char *text);
    double (*next)(double value); /* further from zero */
};

static double
read_f8(const char *text)
{
    return strtod(text, NULL);
}

static double
read_f4(const char *text)
{
    return (double)strtof(text, NULL);
}

static double
next_f8(double value)
{
    return nextafter(value, HUGE_VAL);
}

static double
next_f4(double value)
{
    return (double)nextafterf((float)value, HUGE_VALF);
}

static const struct float_kind kind_f8 = {15, 17, 15, 2.2250738585072014e-308, read_f8, next_f8};
static const struct float_kind kind_f4 = {6, 9, 6, 1.17549435e-38, read_f4, next_f4};

/* Whether the decimal number is exactly half way between `value` and a neighbour of it. */
static bool
is_between(const char *text, double value, const struct float_kind *kind)
{
    enum { EXACT = 800 }; /* digits that any such point has at most */
    char exact[EXACT + 32];
    char given[EXACT + 32];
    long double read = strtold(text, NULL);
    long double above = (long double)kind->next(value) - (long double)value;
    long double mid = (long double)value + (read > (long double)value ? above : -above) / 2;

    if (read != mid && read != (long double)value - above / 4)
        return false;
    snprintf(exact, sizeof exact, "%.*Le", EXACT, read);
    /* `text` is d.ddde±x; the same with zeros up to EXACT digits. */
    const char *e = strchr(text, 'e');
    size_t mantissa = (size_t)(e - text);
    memcpy(given, text, mantissa);
    if (mantissa == 1)
        given[mantissa++] = '.';
    memset(given + mantissa, '0', EXACT + 2 - mantissa);
    return memcmp(exact, given, EXACT + 2) == 0;
}

/* One more in the last digit of d.ddde±x; false: it would be carried out of the first. */
static bool
step_up(char *text)
{
    char *at = strchr(text, 'e');

    while (at > text) {
        at--;
        if (*at == '.')
            continue;
        if (*at < '9') {
            (*at)++;
            return true;
        }
        *at = '0';
    }
    return false;
}

static bool
reads_back(const char *text, double value, const struct float_kind *kind)
{
    return kind->read(text) == value && !is_between(text, value, kind);
}

/* Into d.ddde±x. */
static void
find_digits(double value, const struct float_kind *kind, char *out, size_t size)
{
    int first = value < kind->normal_min ? 1 : kind->digits_safe;

    for (int n = first; n <= kind->digits_most; n++) {
        snprintf(out, size, "%.*e", n - 1, value);
        if (reads_back(out, value, kind))
            return;
        /* Below a power of two floats are closer: the digits above may be the ones. */
        if (step_up(out) && reads_back(out, value, kind))
            return;
    }
    snprintf(out, size, "%.*e", kind->digits_most - 1, value);
}

static size_t
print_digits(const char *digits, size_t n, int exponent, int plain_below, char *out)
{
    size_t at = 0;

    if (exponent < -4 || exponent >= plain_below) {
        out[at++] = digits[0];
        if (n > 1)
            out[at++] = '.';
        memcpy(out + at, digits + 1, n - 1);
        at += n - 1;
        return at + (size_t)snprintf(out + at, PH_SHORTEST_MAX - at, "e%c%02d",
                                     exponent < 0 ? '-' : '+', abs(exponent));
    }
    if (exponent < 0) {
        memcpy(out, "0.0000", 6);
        at = (size_t)(1 - exponent);
        memcpy(out + at, digits, n);
        at += n;
    } else {
        for (int i = 0; i <= exponent || (size_t)i < n; i++) {
            if (i == exponent + 1)
                out[at++] = '.';
            out[at++] = (size_t)i < n ? digits[i] : '0';
        }
    }
    out[at] = '\0';
    return at;
}

static size_t
shortest(double value, const struct float_kind *kind, char *out)
{
    char text[64];
    char digits[32];
    size_t n = 1;
    size_t sign = 0;

    if (isnan(value) || isinf(value)) {
        strncpy(out, isnan(value) ? "NaN" : value < 0 ? "-Infinity" : "Infinity", PH_SHORTEST_MAX);
        return strlen(out);
    }
    if (signbit(value))
        out[sign++] = '-';
    value = fabs(value);
    if (value == 0) {
        memcpy(out + sign, "0", 2);
        return sign + 1;
    }
    find_digits(value, kind, text, sizeof text);
    char *e = strchr(text, 'e');
    digits[0] = text[0];
    for (const char *at = text + 1; at < e; at++) {
        if (*at != '.')
            digits[n++] = *at;
    }
    while (n > 1 && digits[n - 1] == '0')
        n--;
    int exponent = (int)strtol(e + 1, NULL, 10);
    return sign + print_digits(digits, n, exponent, kind->plain_below, out + sign);
}

size_t
ph_shortest_f8(double value, char out[PH_SHORTEST_MAX])
{
    return shortest(value, &kind_f8, out);
}

size_t
ph_shortest_f4(float value, char out[PH_SHORTEST_MAX])
{
    return shortest((double)value, &kind_f4, out);
}
