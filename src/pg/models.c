/*-------------------------------------------------------------------------
 *
 * models.c
 *	  SQL functions about models: list, load, unload; and the version.
 *
 * src/pg/models.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>

#include "common/string.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "../core/step.h"
#include "bitnet.h"
#include "registry.h"

#define MODELS_COLUMNS 14

PG_FUNCTION_INFO_V1(bitnet_models);
PG_FUNCTION_INFO_V1(bitnet_load);
PG_FUNCTION_INFO_V1(bitnet_unload);
PG_FUNCTION_INFO_V1(bitnet_version);

/* A row of bitnet_models; its columns are those of the SQL function. */
typedef struct ModelRow
{
	Datum		values[MODELS_COLUMNS];
	bool		nulls[MODELS_COLUMNS];
} ModelRow;

static void
start_row(ModelRow *row, const char *name, const char *state, const char *path, int64 file_size)
{
	memset(row->values, 0, sizeof(row->values));
	memset(row->nulls, true, sizeof(row->nulls));
	row->values[0] = CStringGetTextDatum(name);
	row->values[1] = CStringGetTextDatum(state);
	row->values[3] = Int64GetDatum(file_size);
	row->nulls[0] = row->nulls[1] = row->nulls[3] = false;
	if (BitnetMaySeePaths())
	{
		row->values[2] = CStringGetTextDatum(path);
		row->nulls[2] = false;
	}
}

static char *
storage_name(const BitnetModelInfo *info)
{
	if (BitnetSegmentIsMain(info->handle))
		return "main region";
	return psprintf("dynamic (%s)", GetConfigOption("dynamic_shared_memory_type", false, false));
}

static void
put_loaded(ReturnSetInfo *rsinfo, const BitnetModelInfo *info)
{
	ModelRow	row;

	start_row(&row, info->name, "loaded", info->path, info->file.size);
	memset(row.nulls + 4, false, (MODELS_COLUMNS - 4) * sizeof(bool));
	row.values[4] = Int64GetDatum((int64) info->segment_size);
	row.values[5] = CStringGetTextDatum(storage_name(info));
	row.values[6] = CStringGetTextDatum(info->architecture);
	row.values[7] = Int64GetDatum(info->n_parameters);
	row.values[8] = Int32GetDatum(info->context_length);
	row.values[9] = Int32GetDatum(info->vocab_size);
	row.values[10] = CStringGetTextDatum(psprintf("%016llx", (unsigned long long) info->checksum));
	row.values[11] = CStringGetTextDatum(BitnetKernels(bitnet_kernel)->name);
	row.values[12] = Int64GetDatum(info->loads);
	row.values[13] = TimestampTzGetDatum(info->loaded_at);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, row.values, row.nulls);
}

/* What the registry has under that name, or NULL */
static const BitnetModelInfo *
find_info(const BitnetModelInfo *infos, int n, const char *name)
{
	for (int i = 0; i < n; i++)
	{
		if (strcmp(infos[i].name, name) == 0)
			return &infos[i];
	}
	return NULL;
}

/*
 * Rows for the model files of a directory that are not loaded.  A file in an
 * earlier directory hides those of the same name in later ones.
 */
static void
put_available(ReturnSetInfo *rsinfo, const char *directory,
			  const BitnetModelInfo *infos, int n_infos)
{
	DIR		   *dir = AllocateDir(directory);
	struct dirent *entry;

	if (dir == NULL)
		return;
	while ((entry = ReadDirExtended(dir, directory, LOG)) != NULL)
	{
		size_t		length = strlen(entry->d_name);
		char		name[NAMEDATALEN];
		char		path[MAXPGPATH];
		char		found[MAXPGPATH];
		BitnetFileIdentity file;
		struct stat st;
		const BitnetModelInfo *info;
		ModelRow	row;

		CHECK_FOR_INTERRUPTS();
		if (length <= 5 || length - 5 >= NAMEDATALEN || !pg_str_endswith(entry->d_name, ".gguf"))
			continue;
		strlcpy(name, entry->d_name, length - 5 + 1);
		if (BitnetModelNameComplaint(name) ||
			snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name) >= (int) sizeof(path) ||
			!BitnetFindModelFile(name, found, &file) ||
			strcmp(path, found) != 0 ||
			stat(path, &st) < 0 || !S_ISREG(st.st_mode))
			continue;
		info = find_info(infos, n_infos, name);
		if (info && info->generation != 0)
			continue;

		start_row(&row, name, "available", path, file.size);
		row.values[12] = Int64GetDatum(info ? info->loads : 0);
		row.nulls[12] = false;
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, row.values, row.nulls);
	}
	FreeDir(dir);
}

Datum
bitnet_models(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	BitnetModelInfo *infos = palloc(BITNET_MAX_MODELS * sizeof(BitnetModelInfo));
	ListCell   *cell;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	n = BitnetListModels(infos);
	for (int i = 0; i < n; i++)
	{
		if (infos[i].generation != 0)
			put_loaded(rsinfo, &infos[i]);
	}
	foreach(cell, BitnetModelDirectories())
		put_available(rsinfo, lfirst(cell), infos, n);
	return (Datum) 0;
}

Datum
bitnet_load(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));

	PG_RETURN_BOOL(BitnetLoadModel(name, PG_GETARG_BOOL(1)));
}

Datum
bitnet_unload(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));

	PG_RETURN_INT64((int64) BitnetUnloadModel(name));
}

Datum
bitnet_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(BITNET_VERSION));
}
