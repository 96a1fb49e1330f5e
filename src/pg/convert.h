/*-------------------------------------------------------------------------
 *
 * convert.h
 *	  Between PostgreSQL's texts and errors and those of the core.
 *
 * The core speaks UTF-8 and tokens; a database speaks its own encoding.  Every
 * text crosses here, and only here.
 *
 * src/pg/convert.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BITNET_CONVERT_H
#define BITNET_CONVERT_H

#include "lib/stringinfo.h"
#include "utils/array.h"

#include "../core/tokenizer.h"
#include "../core/utf8.h"
#include "bitnet.h"

/* A text in UTF-8, not terminated; data is NULL where there is none. */
typedef struct BitnetText
{
	const char *data;
	size_t		length;
} BitnetText;

/* Token ids in memory of the current context. */
typedef struct BitnetTokens
{
	int32	   *ids;
	int32		n;
} BitnetTokens;

/*
 * A text value in UTF-8.  The result may point into the value.  In a database
 * of encoding SQL_ASCII bytes pass as they are, valid or not.
 */
extern BitnetText BitnetTextFromDatum(Datum value);

/*
 * A text value from UTF-8.  What the model says may hold characters that the
 * server's encoding lacks; each becomes a question mark, because a statement
 * over many rows must not fail for one emoji.
 */
extern text *BitnetTextToServer(const char *utf8, size_t length);

/* What a message quotes of a text, in the server's encoding; its beginning only. */
extern char *BitnetQuote(BitnetText t);

/* Without white space (of Unicode) at the ends; and at the end only. */
extern BitnetText BitnetTrim(BitnetText t);
extern BitnetText BitnetTrimRight(BitnetText t);

/* Is the text empty or only white space? */
extern bool BitnetIsBlank(BitnetText t);

/* The bytes of the white space character that text starts with, or 0. */
extern int	BitnetSpaceLength(const char *data, size_t length);

/*
 * Moves an offset back to the start of the character it is in.
 */
extern size_t BitnetCharBoundary(const char *data, size_t length, size_t offset);

/*
 * The tokens of a text as plain text: nothing in it is a special token.  With
 * bos, the model's beginning of sequence comes first if it has one and wants
 * it.  Cancellable.
 */
extern BitnetTokens BitnetEncode(const bn_vocab *vocab, BitnetText t, bool bos);

/* The same tokens in no more memory than they need, if they have room for more. */
extern BitnetTokens BitnetShrink(BitnetTokens tokens, size_t room);
extern int64 BitnetCountTokens(const bn_vocab *vocab, BitnetText t);

/*
 * How many bytes of the text its first max_tokens tokens cover, cut back to
 * whole characters.  The tokens of that part alone are never more.
 */
extern size_t BitnetTruncate(const bn_vocab *vocab, BitnetText t, int64 max_tokens);

/*
 * Appends the bytes of a token to buf, keeping the beginning of an unfinished
 * character in stream.  Control tokens have no text.
 */
extern void BitnetAppendToken(StringInfo buf, bn_utf8_stream *stream,
							  const bn_vocab *vocab, int32 token);

/* Raises an error if dividing a text into tokens needs more memory than one allocation may have. */
extern void BitnetCheckScratch(size_t size);

/* The elements of a text[]: datums, nulls, their number, which has a limit. */
extern void BitnetTextArray(ArrayType *array, Datum **values, bool **nulls, int *n);

/* A text[] of the same dimensions as like. */
extern ArrayType *BitnetArrayLike(ArrayType *like, Datum *values, bool *nulls);

/* The argument as a C string in the server's encoding; NULL for SQL NULL. */
extern char *BitnetOptionalName(FunctionCallInfo fcinfo, int argument);

#endif							/* BITNET_CONVERT_H */
