/*-------------------------------------------------------------------------
 *
 * convert.c
 *	  Between PostgreSQL's texts and errors and those of the core.
 *
 * src/pg/convert.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "../core/prompt.h"
#include "compat.h"
#include "convert.h"

/*
 * Texts up to this many bytes get room for a token per byte, which is the
 * most there can be; longer ones are counted first.
 */
#define SINGLE_PASS_BYTES 65536

/* Bytes to convert between two looks at interrupts */
#define CONVERT_BYTES (1024 * 1024)

/* Bytes to trim between two looks at interrupts */
#define TRIM_BYTES 65536

/* Bytes of a text that a message quotes */
#define MAX_QUOTED_BYTES 256

/* Elements of an array of texts: of labels, all have their requests in memory at once. */
#define MAX_ELEMENTS 1000000

static bool
should_stop(void *ctx)
{
	if (InterruptHoldoffCount > 0 || CritSectionCount > 0)
		return false;
	return ProcDiePending || TransactionTimeoutPending ||
		(QueryCancelPending && QueryCancelHoldoffCount == 0);
}

const bn_hooks bitnet_hooks = {should_stop, NULL, NULL};

static int
sqlstate_of(bn_status code)
{
	switch (code)
	{
		case BN_OK:
			break;
		case BN_ERR_TRUNCATED:
		case BN_ERR_FORMAT:
			return ERRCODE_DATA_CORRUPTED;
		case BN_ERR_UNSUPPORTED:
			return ERRCODE_FEATURE_NOT_SUPPORTED;
		case BN_ERR_LIMIT:
			return ERRCODE_PROGRAM_LIMIT_EXCEEDED;
		case BN_ERR_NOSPACE:
			return ERRCODE_OUT_OF_MEMORY;
		case BN_ERR_IO:
			return ERRCODE_IO_ERROR;
		case BN_ERR_CANCELED:
			return ERRCODE_QUERY_CANCELED;
		case BN_ERR_INVALID:
			return ERRCODE_INVALID_PARAMETER_VALUE;
		case BN_ERR_NUMERIC:
			return ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE;
	}
	return ERRCODE_INTERNAL_ERROR;
}

static void
report_error(int elevel, const bn_error *err, const char *primary, const char *hint)
{
	char		detail[sizeof(err->detail)];
	bool		has_file_error = err->code == BN_ERR_IO && err->sys_errno != 0;

	if (err->code == BN_ERR_CANCELED)
		CHECK_FOR_INTERRUPTS();

	strlcpy(detail, err->detail, sizeof(detail));
	if (err->offset == BN_NO_OFFSET)
		detail[0] = pg_toupper((unsigned char) detail[0]);

	/* errcode_for_file_access() looks at errno */
	errno = err->sys_errno;
	ereport(elevel,
			(has_file_error ? errcode_for_file_access() : errcode(sqlstate_of(err->code)),
			 errmsg("%s", primary),
			 detail[0] == '\0' ? 0 :
			 err->offset == BN_NO_OFFSET ? errdetail("%s.", detail) :
			 errdetail("At byte %llu: %s.", (unsigned long long) err->offset, detail),
			 hint[0] == '\0' ? 0 : errhint("%s", hint)));
}

void
BitnetReportError(const bn_error *err, const char *primary)
{
	report_error(ERROR, err, primary, err->hint);
	pg_unreachable();
}

void
BitnetWarnOfError(const bn_error *err, const char *primary, const char *hint)
{
	report_error(WARNING, err, primary,
				 err->hint[0] == '\0' ? hint : psprintf("%s  %s", err->hint, hint));
}

/*
 * The UTF-8 form of a text in another encoding.  By pieces, since a conversion
 * cannot be interrupted and takes several times the memory of its result.
 */
static BitnetText
convert_from_server(BitnetText t)
{
	StringInfoData out;

	initStringInfo(&out);
	while (t.length > 0)
	{
		int			part = (int) t.length;
		char	   *utf8;

		if (part > CONVERT_BYTES)
			part = pg_mbcliplen(t.data, part, CONVERT_BYTES);
		CHECK_FOR_INTERRUPTS();
		utf8 = pg_server_to_any(t.data, part, PG_UTF8);

		/* A converted string is terminated, one that needed none may not be */
		if (utf8 == t.data)
			appendBinaryStringInfo(&out, utf8, part);
		else
		{
			appendStringInfoString(&out, utf8);
			pfree(utf8);
		}
		t.data += part;
		t.length -= part;
	}
	t.data = out.data;
	t.length = out.len;
	return t;
}

BitnetText
BitnetTextFromDatum(Datum value)
{
	text	   *t = DatumGetTextPP(value);
	BitnetText	result;

	result.data = VARDATA_ANY(t);
	result.length = VARSIZE_ANY_EXHDR(t);

	if (GetDatabaseEncoding() != PG_UTF8 && GetDatabaseEncoding() != PG_SQL_ASCII &&
		result.length > 0)
		result = convert_from_server(result);
	return result;
}

/*
 * The server's form of UTF-8 text that its encoding may not be able to hold:
 * what it lacks becomes a question mark, or a blank if it is white space, so
 * that a text has the same words in either.
 */
static text *
convert_lossy(const char *utf8, size_t length)
{
	int			encoding = GetDatabaseEncoding();
	Oid			proc = FindDefaultConversionProc(PG_UTF8, encoding);
	int			most = (int) Min(length, CONVERT_BYTES);
	unsigned char *buffer = palloc((Size) most * MAX_CONVERSION_GROWTH + 1);
	StringInfoData out;
	size_t		done = 0;
	text	   *result;

	if (!OidIsValid(proc))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("default conversion function for encoding \"%s\" to \"%s\" does not exist",
						pg_encoding_to_char(PG_UTF8), pg_encoding_to_char(encoding))));

	initStringInfo(&out);
	while (done < length)
	{
		int			part = (int) Min(length - done, most);
		int			converted;

		CHECK_FOR_INTERRUPTS();

		/* Whole characters only, or the cut one would look invalid */
		if ((size_t) part < length - done)
			part = (int) BitnetCharBoundary(utf8 + done, length - done, part);
		converted = pg_do_encoding_conversion_buf(proc, PG_UTF8, encoding,
												  (unsigned char *) utf8 + done, part,
												  buffer, part * MAX_CONVERSION_GROWTH + 1,
												  true);
		appendStringInfoString(&out, (char *) buffer);
		done += converted;

		if (converted < part)
		{
			int			skip = pg_utf_mblen((const unsigned char *) utf8 + done);

			appendStringInfoChar(&out, BitnetSpaceLength(utf8 + done, length - done) > 0 ? ' ' : '?');
			done += Min((size_t) skip, length - done);
		}
	}

	result = cstring_to_text_with_len(out.data, out.len);
	pfree(out.data);
	pfree(buffer);
	return result;
}

text *
BitnetTextToServer(const char *utf8, size_t length)
{
	if (length == 0 || GetDatabaseEncoding() == PG_UTF8 ||
		GetDatabaseEncoding() == PG_SQL_ASCII)
		return cstring_to_text_with_len(utf8, (int) length);
	return convert_lossy(utf8, length);
}

char *
BitnetQuote(BitnetText t)
{
	t.length = BitnetCharBoundary(t.data, t.length, Min(t.length, MAX_QUOTED_BYTES));
	return text_to_cstring(BitnetTextToServer(t.data, t.length));
}

int
BitnetSpaceLength(const char *data, size_t length)
{
	return (int) bn_space_length(data, length);
}

BitnetText
BitnetTrimRight(BitnetText t)
{
	size_t		start;

	/* By pieces of whole characters, since there may be a lot to trim */
	do
	{
		CHECK_FOR_INTERRUPTS();
		start = t.length <= TRIM_BYTES ? 0 :
			BitnetCharBoundary(t.data, t.length, t.length - TRIM_BYTES);
		t.length = start + bn_trim_right(t.data + start, t.length - start);
	} while (start > 0 && t.length == start);
	return t;
}

BitnetText
BitnetTrim(BitnetText t)
{
	size_t		bytes;

	while ((bytes = bn_space_length(t.data, t.length)) > 0)
	{
		CHECK_FOR_INTERRUPTS();
		t.data += bytes;
		t.length -= bytes;
	}
	return BitnetTrimRight(t);
}

bool
BitnetIsBlank(BitnetText t)
{
	return BitnetTrim(t).length == 0;
}

size_t
BitnetCharBoundary(const char *data, size_t length, size_t offset)
{
	int			back;

	/* Not more than a character is long, or it was not one */
	for (back = 0; back < 4 && offset > (size_t) back; back++)
		if (offset - back >= length || (data[offset - back] & 0xc0) != 0x80)
			return offset - back;
	return back == 4 ? offset : 0;
}

void
BitnetCheckScratch(size_t size)
{
	if (size > MaxAllocSize)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("could not divide the text into tokens"),
				 errdetail("The text has a word or white space so long that %zu MB of memory would be needed for it.",
						   size / (1024 * 1024)),
				 errhint("Shorten the text.")));
}

/* bn_encode with its scratch memory; the count only if ids is NULL. */
static size_t
encode(const bn_vocab *vocab, BitnetText t, int32 *ids, size_t max_tokens)
{
	const char *primary = _("could not divide the text into tokens");
	size_t		scratch_size;
	void	   *scratch;
	size_t		n_tokens = 0;
	bn_error	err;

	if (bn_encode_scratch_size(vocab, t.data, t.length, &scratch_size, &bitnet_hooks,
							   &err) != BN_OK)
		BitnetReportError(&err, primary);
	BitnetCheckScratch(scratch_size);
	scratch = MemoryContextAllocExtended(CurrentMemoryContext, scratch_size + 64,
										 MCXT_ALLOC_HUGE);
	if (bn_encode(vocab, t.data, t.length, ids, max_tokens, &n_tokens, NULL,
				  (void *) TYPEALIGN(64, scratch), scratch_size,
				  &bitnet_hooks, &err) != BN_OK)
		BitnetReportError(&err, primary);
	pfree(scratch);
	return n_tokens;
}

int64
BitnetCountTokens(const bn_vocab *vocab, BitnetText t)
{
	return t.length == 0 ? 0 : (int64) encode(vocab, t, NULL, SIZE_MAX);
}

BitnetTokens
BitnetShrink(BitnetTokens tokens, size_t room)
{
	int32	   *ids;

	if ((size_t) tokens.n >= room)
		return tokens;
	ids = MemoryContextAllocHuge(CurrentMemoryContext, (Size) Max(tokens.n, 1) * sizeof(int32));
	memcpy(ids, tokens.ids, (Size) tokens.n * sizeof(int32));
	pfree(tokens.ids);
	tokens.ids = ids;
	return tokens;
}

BitnetTokens
BitnetEncode(const bn_vocab *vocab, BitnetText t, bool bos)
{
	BitnetTokens result;
	size_t		room;

	room = t.length <= SINGLE_PASS_BYTES ? t.length : (size_t) BitnetCountTokens(vocab, t);
	if (room > MaxArraySize)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("text is too long"),
				 errdetail("The text has %zu tokens, the limit is %zu.", room, MaxArraySize)));

	result.ids = MemoryContextAllocExtended(CurrentMemoryContext,
											(room + 1) * sizeof(int32), MCXT_ALLOC_HUGE);
	result.n = 0;
	if (bos && vocab->add_bos && vocab->bos != BN_NO_TOKEN)
		result.ids[result.n++] = vocab->bos;
	if (t.length > 0)
		result.n += (int32) encode(vocab, t, result.ids + result.n, room);
	return t.length <= SINGLE_PASS_BYTES ? BitnetShrink(result, room) : result;
}

size_t
BitnetTruncate(const bn_vocab *vocab, BitnetText t, int64 max_tokens)
{
	size_t		room = (size_t) max_tokens + 1;
	size_t		covered = 0;
	int32	   *ids;
	int32		n;

	if (t.length == 0 || max_tokens == 0)
		return 0;
	if ((int64) t.length <= max_tokens)
		return t.length;		/* no token is shorter than a byte */

	/* No token is longer than this, so that what comes later cannot matter */
	if (room < t.length / Max(vocab->max_token_bytes, 1))
		t.length = BitnetCharBoundary(t.data, t.length,
									  Min(t.length, (room + 64) * vocab->max_token_bytes));

	ids = MemoryContextAllocHuge(CurrentMemoryContext, (room + 1) * sizeof(int32));
	if (encode(vocab, t, ids, room) <= (size_t) max_tokens)
	{
		pfree(ids);
		return t.length;
	}

	/*
	 * A part may have other tokens than it had in the whole: the splitter sees
	 * another end, and a character may have been cut.  Then take less.
	 */
	for (n = (int32) max_tokens; n > 0; n--)
	{
		BitnetText	part = t;
		int32		i;

		covered = 0;
		for (i = 0; i < n; i++)
		{
			size_t		bytes;

			(void) bn_token_text(vocab, ids[i], &bytes);
			covered += bytes;
		}
		covered = BitnetCharBoundary(t.data, t.length, covered);
		part.length = covered;
		if (BitnetCountTokens(vocab, part) <= max_tokens)
			break;
	}
	pfree(ids);
	return n > 0 ? covered : 0;
}

void
BitnetAppendToken(StringInfo buf, bn_utf8_stream *stream, const bn_vocab *vocab, int32 token)
{
	const uint8_t *bytes;
	size_t		length;

	if (bn_token_kind(vocab, token) == BN_TOKEN_CONTROL)
		return;
	bytes = bn_token_text(vocab, token, &length);
	enlargeStringInfo(buf, (int) (3 * (length + 3)));
	buf->len += (int) bn_utf8_push(stream, bytes, length, buf->data + buf->len);
	buf->data[buf->len] = '\0';
}

void
BitnetTextArray(ArrayType *array, Datum **values, bool **nulls, int *n)
{
	int			n_elements = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));

	if (n_elements > MAX_ELEMENTS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("array has too many elements"),
				 errdetail("There are %d of them, the limit is %d.", n_elements, MAX_ELEMENTS)));
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, values, nulls, n);
}

ArrayType *
BitnetArrayLike(ArrayType *like, Datum *values, bool *nulls)
{
	if (ARR_NDIM(like) == 0)
		return construct_empty_array(TEXTOID);
	return construct_md_array(values, nulls, ARR_NDIM(like), ARR_DIMS(like),
							  ARR_LBOUND(like), TEXTOID, -1, false, TYPALIGN_INT);
}

char *
BitnetOptionalName(FunctionCallInfo fcinfo, int argument)
{
	if (PG_NARGS() <= argument || PG_ARGISNULL(argument))
		return NULL;
	return text_to_cstring(PG_GETARG_TEXT_PP(argument));
}
