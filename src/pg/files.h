/*-------------------------------------------------------------------------
 *
 * files.h
 *	  Model files: their names, where they are, and what users learn of them.
 *
 * src/pg/files.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BITNET_FILES_H
#define BITNET_FILES_H

#include <sys/stat.h>

#include "nodes/pg_list.h"

#include "compat.h"

#include "../core/error.h"

/* Tells whether a file is still the one that was loaded. */
typedef struct BitnetFileIdentity
{
	uint64		device;
	uint64		inode;
	int64		size;
	int64		modified;		/* in nanoseconds */
} BitnetFileIdentity;

/*
 * What is wrong with a string as the name of a model: a full sentence, or NULL
 * for a good name.  Names have no path in them.
 */
extern const char *BitnetModelNameComplaint(const char *name);

/* Raises an error unless it is the name of a model. */
extern void BitnetCheckModelName(const char *name);

/* The directories in which models are looked for, in that order; char *. */
extern List *BitnetModelDirectories(void);

/*
 * Finds the file of a model; path has MAXPGPATH bytes.  False if no directory
 * has one.  Whether it can be read is not looked at.
 */
extern bool BitnetFindModelFile(const char *name, char *path, BitnetFileIdentity *file);

extern void BitnetIdentifyFile(BitnetFileIdentity *file, const struct stat *st);
extern bool BitnetSameFile(const BitnetFileIdentity *a, const BitnetFileIdentity *b);

/* May the current user be told where files of the server are? */
extern bool BitnetMaySeePaths(void);

/* What an error or a message calls the file: a new string. */
extern char *BitnetShownPath(const char *path);

pg_noreturn extern void BitnetReportUnknownModel(const char *name);

/*
 * Completes an error of reading that file: a hint about common troubles, and
 * nothing in it of what the current user may not read.
 */
extern void BitnetExplainFileError(const char *path, bn_error *err);

#endif							/* BITNET_FILES_H */
