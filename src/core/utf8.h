/*-------------------------------------------------------------------------
 *
 * utf8.h
 *	  UTF-8 to code points, and bytes of tokens to whole, valid characters.
 *
 * src/core/utf8.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BN_UTF8_H
#define BN_UTF8_H

#include <stddef.h>
#include <stdint.h>

/*
 * The code point at text[0 .. length), length > 0, and the number of its
 * bytes.  A byte that does not begin a valid UTF-8 sequence is an element of
 * its own, UINT32_MAX.
 */
extern uint32_t bn_utf8_decode(const uint8_t *text, size_t length, size_t *bytes);

/*
 * Bytes to whole characters.  Tokens may end inside a character, so a stream
 * keeps an incomplete tail until the rest comes.  Invalid sequences become
 * U+FFFD, one for each maximal subpart; NUL is dropped, since a text value
 * cannot hold it.  push writes at most 3 * (length + 3) bytes to out; finish,
 * at most 3 (an unfinished character becomes one U+FFFD).
 */
typedef struct bn_utf8_stream
{
	uint8_t		pending[4];
	uint32_t	n_pending;
} bn_utf8_stream;

extern size_t bn_utf8_push(bn_utf8_stream *stream, const uint8_t *bytes, size_t length,
						   char *out);
extern size_t bn_utf8_finish(bn_utf8_stream *stream, char *out);

#endif							/* BN_UTF8_H */
