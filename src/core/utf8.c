/*-------------------------------------------------------------------------
 *
 * utf8.c
 *	  UTF-8 to code points, and bytes of tokens to whole, valid characters.
 *
 * Invalid sequences are replaced as the Unicode standard recommends (chapter
 * 3.9, "U+FFFD substitution of maximal subparts") and as WHATWG's decoder does.
 *
 * src/core/utf8.c
 *
 *-------------------------------------------------------------------------
 */
#include "utf8.h"

#include <stdbool.h>
#include <string.h>

/* Bytes of the character that a byte begins, or 0 if it begins none. */
static uint32_t
character_length(uint8_t lead)
{
	if (lead < 0x80)
		return 1;
	if (lead < 0xC2)
		return 0;
	if (lead < 0xE0)
		return 2;
	if (lead < 0xF0)
		return 3;
	return lead < 0xF5 ? 4 : 0;
}

/* Can this byte follow these first bytes of a character? */
static bool
continues(const uint8_t *pending, uint32_t n_pending, uint8_t byte)
{
	uint8_t		low = 0x80;
	uint8_t		high = 0xBF;

	if (n_pending == 1)
	{
		switch (pending[0])
		{
			case 0xE0:			/* below are overlong forms */
				low = 0xA0;
				break;
			case 0xED:			/* above are surrogates */
				high = 0x9F;
				break;
			case 0xF0:			/* overlong */
				low = 0x90;
				break;
			case 0xF4:			/* above U+10FFFF */
				high = 0x8F;
				break;
			default:
				break;
		}
	}
	return byte >= low && byte <= high;
}

uint32_t
bn_utf8_decode(const uint8_t *text, size_t length, size_t *bytes)
{
	uint32_t	n = character_length(text[0]);
	uint32_t	code = text[0] & (0x7F >> n);

	*bytes = 1;
	if (n == 1)
		return text[0];
	if (n == 0 || n > length)
		return UINT32_MAX;
	for (uint32_t i = 1; i < n; i++)
	{
		if (!continues(text, i, text[i]))
			return UINT32_MAX;
		code = code << 6 | (text[i] & 0x3F);
	}
	*bytes = n;
	return code;
}

static size_t
put_replacement(char *out)
{
	memcpy(out, "\xEF\xBF\xBD", 3);
	return 3;
}

size_t
bn_utf8_push(bn_utf8_stream *stream, const uint8_t *bytes, size_t length, char *out)
{
	size_t		n = 0;

	for (size_t i = 0; i < length; i++)
	{
		uint8_t		byte = bytes[i];
		uint32_t	needed;

		if (stream->n_pending > 0 &&
			!continues(stream->pending, stream->n_pending, byte))
			n += bn_utf8_finish(stream, out + n);
		if (stream->n_pending == 0)
		{
			needed = character_length(byte);
			if (needed == 0)
			{
				n += put_replacement(out + n);
				continue;
			}
			if (needed == 1)
			{
				if (byte != 0)
					out[n++] = (char) byte;
				continue;
			}
		}
		stream->pending[stream->n_pending++] = byte;
		if (stream->n_pending == character_length(stream->pending[0]))
		{
			memcpy(out + n, stream->pending, stream->n_pending);
			n += stream->n_pending;
			stream->n_pending = 0;
		}
	}
	return n;
}

size_t
bn_utf8_finish(bn_utf8_stream *stream, char *out)
{
	if (stream->n_pending == 0)
		return 0;
	stream->n_pending = 0;
	return put_replacement(out);
}
