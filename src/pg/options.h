/*-------------------------------------------------------------------------
 *
 * options.h
 *	  The arguments of the model functions, checked.
 *
 * Whatever may be said of a call, as a typed argument of the SQL function, as a
 * key of its options or as a key of a trigger's argument, ends up in one struct
 * and passes the same checks on its way.
 *
 * src/pg/options.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BITNET_OPTIONS_H
#define BITNET_OPTIONS_H

#include "fmgr.h"
#include "utils/jsonb.h"

#include "../core/image.h"
#include "../core/sampler.h"
#include "convert.h"

/* Who is called; each accepts keys of its own. */
typedef enum BitnetFamily
{
	BITNET_GENERATE = 0,
	BITNET_CHAT,
	BITNET_SUMMARIZE,
	BITNET_CLASSIFY,
	BITNET_EMBED,
	BITNET_SIMILARITY,
	BITNET_NEXT_TOKENS,
	BITNET_TRIGGER_GENERATE,
	BITNET_TRIGGER_SUMMARIZE,
	BITNET_TRIGGER_CLASSIFY,
	BITNET_TRIGGER_EMBED
} BitnetFamily;

/* What happens to a text that does not fit into the model's context. */
typedef enum BitnetOverflow
{
	BITNET_OVERFLOW_ERROR = 0,
	BITNET_OVERFLOW_TRUNCATE
} BitnetOverflow;

/* Strings are UTF-8, but for the model's name. */
typedef struct BitnetArgs
{
	char	   *model;			/* NULL: the setting */
	BitnetText	system;			/* data NULL: none */
	BitnetText	instruction;	/* data NULL: the published one */
	BitnetText *stops;
	int			n_stops;
	BitnetText *labels;
	int			n_labels;
	int			max_tokens;		/* 0: not given */
	int			max_words;
	int			dimensions;		/* 0: all */
	double		temperature;
	int64		seed;
	int			top_k;
	double		top_p;
	double		min_p;
	double		repeat_penalty;
	bool		raw;
	int			pooling;		/* bn_pooling */
	int			on_overflow;	/* BitnetOverflow */
} BitnetArgs;

/* Every field as if nothing had been said. */
extern void BitnetInitArgs(BitnetArgs *args);

/*
 * Takes argument number n of the call, if the function has so many and it is
 * not NULL, as the one called name (a name of the table in options.c), and
 * checks it.
 */
extern void BitnetTakeArg(BitnetArgs *args, FunctionCallInfo fcinfo, int n,
						  const char *name);

/* Takes the keys of a jsonb object; those unknown to the family are errors. */
extern void BitnetTakeOptions(BitnetArgs *args, Jsonb *options, BitnetFamily family);

/* The same for argument number n of the call. */
extern void BitnetTakeOptionsArg(BitnetArgs *args, FunctionCallInfo fcinfo, int n,
								 BitnetFamily family);

/* The sampling parameters; max_tokens, or its default, under its limit. */
extern bn_sampling BitnetSampling(const BitnetArgs *args);
extern int	BitnetMaxTokens(const BitnetArgs *args);

#endif							/* BITNET_OPTIONS_H */
