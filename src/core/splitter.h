/*-------------------------------------------------------------------------
 *
 * splitter.h
 *	  The pre-tokenizer: text to pieces that BPE never joins.
 *
 * Internal to the tokenizer.
 *
 * src/core/splitter.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BN_SPLITTER_H
#define BN_SPLITTER_H

#include <stddef.h>
#include <stdint.h>

#include "source.h"

#define BN_STOP_INTERVAL 4096	/* bytes between questions to should_stop */

typedef enum bn_class
{
	BN_CLASS_OTHER = 0, BN_CLASS_LETTER, BN_CLASS_NUMBER, BN_CLASS_SPACE
} bn_class;

/* In bn_vocab.splitter, thus part of an image's layout. */
typedef enum bn_splitter
{
	BN_SPLIT_LLAMA3 = 1,
	BN_SPLIT_QWEN2 = 2,
	BN_SPLIT_GPT2 = 3
} bn_splitter;

extern bn_class bn_code_class(uint32_t code);

/*
 * The end of the piece that begins at start < length.  The text's end counts
 * as the end of input for the expression's lookahead.  Pieces follow each other
 * without gap, and every byte is in one.
 *
 * Once should_stop says so a piece may end anywhere after BN_STOP_INTERVAL bytes, at
 * which the caller asks again.
 */
extern size_t bn_split_next(bn_splitter splitter, const uint8_t *text, size_t length,
							size_t start, const bn_hooks *hooks);

#endif							/* BN_SPLITTER_H */
