/*-------------------------------------------------------------------------
 *
 * test_utf8.c
 *	  Bytes to whole characters.
 *
 * test/unit/test_utf8.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"
#include "../../src/core/utf8.h"

#define R "\xEF\xBF\xBD"

typedef struct utf8_case
{
	const char *name;
	const char *bytes;
	int			length;
	const char *expected;
} utf8_case;

/* the sequences of tables 3-8 to 3-11 of the Unicode standard are among these */
static const utf8_case cases[] = {
	{"nothing", "", 0, ""},
	{"ASCII", "plain text", 10, "plain text"},
	{"two to four bytes", "\xC3\xA9\xE2\x82\xAC\xF0\x9F\xA6\x99", 9, "\xC3\xA9\xE2\x82\xAC\xF0\x9F\xA6\x99"},
	{"NUL is dropped", "a\0b", 3, "ab"},
	{"overlong forms", "\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", 9, R R R R R R R R "A"},
	{"surrogates", "\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", 9, R R R R R R R R "A"},
	{"beyond the last plane", "\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", 9, R R R R R "A" R R "B"},
	{"truncated sequences", "\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", 9, R R R R "A"},
	{"the text of D93b", "\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64", 13,
	"a" R R R "b" R "c" R R "d"},
	{"the highest valid ones", "\xF4\x8F\xBF\xBF\xED\x9F\xBF\xEF\xBF\xBF", 10,
	"\xF4\x8F\xBF\xBF\xED\x9F\xBF\xEF\xBF\xBF"},
	{"an unfinished end", "ab\xE2\x82", 4, "ab" R},
	{"NUL inside a character", "\xE2\0\x82", 3, R R},
};

static size_t
convert(const char *bytes, size_t length, size_t step, char *out)
{
	bn_utf8_stream s = {{0}, 0};
	size_t		n = 0;

	for (size_t i = 0; i < length; i += step)
	{
		size_t		left = length - i;
		size_t		now = left < step ? left : step;
		char	   *exact = malloc(3 * (now + 3));
		size_t		made = bn_utf8_push(&s, (const uint8_t *) bytes + i, now, exact);

		memcpy(out + n, exact, made);
		n += made;
		free(exact);
	}
	return n + bn_utf8_finish(&s, out + n);
}

/* Decodes strictly: is this valid UTF-8 without NUL? */
static bool
is_valid(const char *text, size_t length)
{
	const uint8_t *p = (const uint8_t *) text;

	while (length > 0)
	{
		size_t		n = p[0] < 0x80 ? 1 : p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
		uint32_t	code = n == 1 ? p[0] : p[0] & (0xFF >> (n + 1));
		static const uint32_t least[] = {0, 1, 0x80, 0x800, 0x10000};

		if (n > length || (n > 1 && (p[0] & 0xC0) != 0xC0) || p[0] > 0xF7)
			return false;
		for (size_t i = 1; i < n; i++)
		{
			if ((p[i] & 0xC0) != 0x80)
				return false;
			code = code << 6 | (p[i] & 0x3F);
		}
		if (code < least[n] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
			return false;
		p += n;
		length -= n;
	}
	return true;
}

static void
test_cases(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t step = 1; step <= 16; step = step == 1 ? 3 : step + 13)
		{
			char		out[128];
			size_t		n = convert(cases[i].bytes, (size_t) cases[i].length, step, out);

			ok(n == strlen(cases[i].expected) && memcmp(out, cases[i].expected, n) == 0,
			   "%s, %d bytes at a time", cases[i].name, (int) step);
		}
}

static void
test_random(void)
{
	uint32_t	state = 12345;
	int			invalid = 0;
	int			unequal = 0;

	for (int round = 0; round < 20000; round++)
	{
		static const uint8_t leads[] = {0, 'a', 0x80, 0xBF, 0xC1, 0xC2, 0xE0, 0xE1, 0xED, 0xEF,
		0xF0, 0xF1, 0xF4, 0xF5, 0xA0, 0x90};
		char		bytes[24];
		char		whole[128];
		char		parts[128];
		size_t		n;

		for (int i = 0; i < 24; i++)
		{
			state = state * 1664525 + 1013904223;
			bytes[i] = (char) ((state >> 9) % 3 ? leads[state >> 28] : state >> 24);
		}
		n = convert(bytes, 24, 24, whole);
		invalid += !is_valid(whole, n) || memchr(whole, 0, n) != NULL;
		unequal += convert(bytes, 24, 1 + round % 5, parts) != n || memcmp(parts, whole, n) != 0;
	}
	ok(invalid == 0, "20000 random byte strings become valid text");
	ok(unequal == 0, "the result does not depend on where the bytes are cut");
}

static void
test_hold_back(void)
{
	bn_utf8_stream s = {{0}, 0};
	char		out[32];

	ok(bn_utf8_push(&s, (const uint8_t *) "\xF0\x9F", 2, out) == 0 &&
	   bn_utf8_push(&s, (const uint8_t *) "\xA6", 1, out) == 0 &&
	   bn_utf8_push(&s, (const uint8_t *) "\x99!", 2, out) == 5 &&
	   memcmp(out, "\xF0\x9F\xA6\x99!", 5) == 0, "an unfinished character is held back");
	ok(bn_utf8_finish(&s, out) == 0, "nothing is left after whole characters");
}

int
main(void)
{
	test_cases();
	test_random();
	test_hold_back();
	return done_testing();
}
