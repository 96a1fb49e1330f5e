/*-------------------------------------------------------------------------
 *
 * registry.c
 *	  The models that this server has in shared memory.
 *
 * A small structure in shared memory says which models are loaded and where.
 * Each image is a pinned segment of its own, mapped by a process when it first
 * uses the model and kept mapped from then on.
 *
 * A load holds a heavyweight lock named after the model.  So others wait for
 * it as they wait for any lock: visible in pg_locks, and ended by a cancel, a
 * timeout or lock_timeout.  A load that fails leaves no state to repair: its
 * segment belongs to the resource owner until the one place where it is made
 * known to the server.
 *
 * The structure is named after the layout of all that is shared.  So a library
 * that takes the place of one with another layout, while sessions still have
 * that, makes a registry of its own, with a board, engines and images.
 *
 * A model whose file changed is loaded anew by the next statement that uses
 * it, while others go on with the old image.  If that load fails, the file is
 * not tried again, or after a cancel not for a while: a statement_timeout that
 * is shorter than the load ends one statement, not all.
 *
 * Unloading takes the model's name away; the memory goes when the last process
 * lets go of its mapping, which each does at its next call.
 *
 * src/pg/registry.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "storage/lock.h"
#include "storage/spin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "bitnet.h"
#include "channel.h"
#include "compat.h"
#include "loader.h"
#include "registry.h"

/*
 * What processes tell each other: registry, board, channels, what they mean,
 * and plans (batch_scan.h).  Counts up with every change of these.
 */
#define LAYOUT "bitnet layout 6"

/*
 * Our key space among the advisory locks.  SQL's own functions use 1 and 2 in
 * the fourth field and a database in the first.
 */
#define LOCK_CLASS 0x62697431
#define LOCK_SPACE 0xb17

/* Between a load of a changed file that was canceled and the next try, in ms */
#define RETRY_DELAY (60 * 1000)

typedef struct Slot
{
	BitnetModelInfo info;
	BitnetFileIdentity rejected;	/* a newer file that could not be loaded */
	TimestampTz retry_at;		/* when that may be tried again */
	int			loader;			/* pid of the process that loads it, or 0 */
	slock_t		count_mutex;	/* protects what follows, with the lock shared */
	BitnetModelStats stats;
	TimestampTz stats_since;
} Slot;

typedef struct Registry
{
	LWLock		lock;			/* protects all that follows */
	int			tranche;
	uint64		last_generation;
	ConditionVariable load_ended;
	dsm_handle	board;
	Slot		slots[BITNET_MAX_MODELS];
} Registry;

/*
 * A use of a mapping, which ends with its memory context.  Some languages keep
 * what they call functions with for as long as the session lasts; so it ends with
 * its transaction, too: the process's next call lets go of it.
 */
typedef struct Pin
{
	dlist_node	node;
	MemoryContext context;
	LocalTransactionId transaction; /* where it was last asked for */
	BitnetModel *model;			/* NULL: let go of behind the transaction */
	char		name[NAMEDATALEN];
	MemoryContextCallback callback;
} Pin;

/* A mapping of this process */
typedef struct Mapping
{
	dlist_node	node;
	BitnetModel model;
} Mapping;

typedef enum LoadMode
{
	LOAD_MISSING,				/* unless the file's present state is loaded */
	LOAD_REFRESH,				/* the same, but the old image will do if need be */
	LOAD_ANEW					/* in any case */
} LoadMode;

static Registry *registry = NULL;
static dlist_head mappings = DLIST_STATIC_INIT(mappings);
static dlist_head pins = DLIST_STATIC_INIT(pins);
static shmem_request_hook_type previous_request_hook = NULL;

/*
 * The sizes tell most layouts from each other even where nobody has thought of
 * the number.
 */
const char *
BitnetLayout(void)
{
	static char layout[BITNET_LAYOUT_LENGTH] = "";

	if (layout[0] == '\0')
		snprintf(layout, sizeof(layout), "%s.%d %x.%x.%x.%x", LAYOUT, BN_IMAGE_ABI,
				 (unsigned) sizeof(Registry), (unsigned) bitnet_board_bytes,
				 (unsigned) sizeof(BitnetChannel), (unsigned) sizeof(BitnetChannelRequest));
	return layout;
}

static void
init_registry(void *ptr)
{
	Registry   *r = ptr;

	memset(r, 0, sizeof(*r));
	r->tranche = LWLockNewTrancheId();
	LWLockInitialize(&r->lock, r->tranche);
	ConditionVariableInit(&r->load_ended);
	r->board = DSM_HANDLE_INVALID;
	for (int i = 0; i < BITNET_MAX_MODELS; i++)
		SpinLockInit(&r->slots[i].count_mutex);
}

static void
attach_registry(void)
{
	Registry   *r;

	if (registry)
		return;
	r = compat_shared_struct(BitnetLayout(), sizeof(Registry), init_registry);
	LWLockRegisterTranche(r->tranche, "bitnet");
	registry = r;
}

static void
request_shared_memory(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(Registry)));
}

void
BitnetRequestSharedMemory(void)
{
	if (COMPAT_SHARED_STRUCT_IN_MAIN)
	{
		previous_request_hook = shmem_request_hook;
		shmem_request_hook = request_shared_memory;
	}
}

/* The slot of that name, loaded or not; the lock must be held. */
static Slot *
find_slot(const char *name)
{
	for (int i = 0; i < BITNET_MAX_MODELS; i++)
	{
		if (strcmp(registry->slots[i].info.name, name) == 0)
			return &registry->slots[i];
	}
	return NULL;
}

/* ---- mappings of this process ---- */

static Mapping *
find_mapping(uint64 generation)
{
	dlist_iter	iter;

	dlist_foreach(iter, &mappings)
	{
		Mapping    *m = dlist_container(Mapping, node, iter.cur);

		if (m->model.generation == generation)
			return m;
	}
	return NULL;
}

static void
release_mapping(Mapping *m)
{
	dlist_delete(&m->node);
	dsm_detach(m->model.segment);
	pfree(m);
}

bool
BitnetIsRegistered(uint64 generation)
{
	bool		found = false;

	LWLockAcquire(&registry->lock, LW_SHARED);
	for (int i = 0; i < BITNET_MAX_MODELS; i++)
		found |= registry->slots[i].info.generation == generation;
	LWLockRelease(&registry->lock);
	return found;
}

/* Ends a use, if it has not ended; the pin stays, for another one. */
static void
let_go(Pin *pin)
{
	if (pin->model)
		pin->model->pins--;
	pin->model = NULL;
}

/* Lets go of images that have been replaced or unloaded. */
static void
release_stale_mappings(void)
{
	dlist_mutable_iter iter;
	dlist_iter	i;

	dlist_foreach(i, &pins)
	{
		Pin		   *pin = dlist_container(Pin, node, i.cur);

		if (pin->transaction != compat_transaction())
			let_go(pin);
	}
	dlist_foreach_modify(iter, &mappings)
	{
		Mapping    *m = dlist_container(Mapping, node, iter.cur);

		if (m->model.pins == 0 && !BitnetIsRegistered(m->model.generation))
			release_mapping(m);
	}
}

void
BitnetReleaseMappings(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &mappings)
	{
		Mapping    *m = dlist_container(Mapping, node, iter.cur);

		if (m->model.pins == 0)
			release_mapping(m);
	}
}

/*
 * Makes the segment a mapping that outlives the transaction.  Takes over the
 * segment; on failure, it stays with its resource owner.
 */
static bn_status
keep_mapping(const char *name, dsm_segment *segment, uint64 offset, uint64 size,
			 Mapping **result, bn_error *err)
{
	char	   *address = (char *) dsm_segment_address(segment) + offset;
	bn_model	model;
	Mapping    *m;

	if (size > dsm_segment_map_length(segment) ||
		offset > dsm_segment_map_length(segment) - size)
		return bn_fail(err, BN_ERR_FORMAT, BN_NO_OFFSET, "the image is larger than its segment");
	BN_TRY(bn_model_bind(&model, address, size, err));

	m = MemoryContextAllocZero(TopMemoryContext, sizeof(Mapping));
	m->model.model = model;
	strlcpy(m->model.name, name, NAMEDATALEN);
	m->model.segment = segment;
	dsm_pin_mapping(segment);
	*result = m;
	return BN_OK;
}

/*
 * The mapping of what the registry has under that name, made if need be; NULL
 * if it is not loaded.
 */
static Mapping *
attach_model(const char *name)
{
	Slot	   *slot;
	Mapping    *m;
	BitnetModelInfo info;
	dsm_segment *segment;
	bn_error	err = {0};

	/* Under the lock nobody can unload it before we have it */
	LWLockAcquire(&registry->lock, LW_SHARED);
	slot = find_slot(name);
	if (slot == NULL || slot->info.generation == 0)
	{
		LWLockRelease(&registry->lock);
		return NULL;
	}
	info = slot->info;
	m = find_mapping(info.generation);
	segment = m ? NULL : dsm_attach(info.handle);
	LWLockRelease(&registry->lock);

	if (m)
		return m;
	if (segment == NULL)
		elog(ERROR, "could not attach to the segment of model \"%s\"", name);
	BitnetProtectSegment(segment);
	if (keep_mapping(name, segment, info.image_offset, info.image_size, &m, &err) != BN_OK)
		BitnetReportError(&err, psprintf(_("image of model \"%s\" in shared memory is not valid"), name));
	m->model.generation = info.generation;
	dlist_push_head(&mappings, &m->node);
	return m;
}

const BitnetModel *
BitnetAttachGeneration(const char *name, uint64 generation)
{
	Mapping    *m;

	attach_registry();
	m = attach_model(name);
	if (m == NULL || m->model.generation != generation)
		return NULL;
	m->model.pins++;
	return &m->model;
}

void
BitnetDetachGeneration(const BitnetModel *model)
{
	Mapping    *m = find_mapping(model->generation);

	if (--m->model.pins == 0)
		release_mapping(m);
}

/* ---- loading ---- */

static void
set_lock_tag(LOCKTAG *tag, const char *name)
{
	SET_LOCKTAG_ADVISORY(*tag, InvalidOid, LOCK_CLASS,
						 DatumGetUInt32(hash_any((const unsigned char *) name, (int) strlen(name))),
						 LOCK_SPACE);
}

/* What was in the slot of this process's load, should the load come to nothing */
static Slot evicted;

/*
 * Takes a slot for the load.  The lock on the model keeps other sessions out
 * but not the other processes of a parallel query, which share their leader's
 * locks; those wait here.
 */
static Slot *
claim_slot(const char *name)
{
	Slot	   *slot;
	char		path[MAXPGPATH];
	BitnetFileIdentity file;

	/* A name that stands for nothing takes no slot from a model */
	LWLockAcquire(&registry->lock, LW_SHARED);
	slot = find_slot(name);
	LWLockRelease(&registry->lock);
	if (slot == NULL && !BitnetFindModelFile(name, path, &file))
		BitnetReportUnknownModel(name);

	evicted = (Slot) {0};
	ConditionVariablePrepareToSleep(&registry->load_ended);
	for (;;)
	{
		LWLockAcquire(&registry->lock, LW_EXCLUSIVE);
		slot = find_slot(name);
		if (slot == NULL)
		{
			/* One that was never used, or else one whose model was unloaded */
			for (int i = 0; i < BITNET_MAX_MODELS; i++)
			{
				Slot	   *s = &registry->slots[i];

				if (s->info.generation == 0 && s->loader == 0 &&
					(slot == NULL || s->info.name[0] == '\0'))
					slot = s;
			}
			if (slot)
			{
				evicted = *slot;
				memset(slot, 0, sizeof(*slot));
				strlcpy(slot->info.name, name, NAMEDATALEN);
				SpinLockInit(&slot->count_mutex);
				slot->stats_since = GetCurrentTimestamp();
			}
		}
		if (slot == NULL || slot->loader == 0)
			break;
		LWLockRelease(&registry->lock);
		ConditionVariableSleep(&registry->load_ended, PG_WAIT_EXTENSION);
	}
	if (slot)
		slot->loader = MyProcPid;
	LWLockRelease(&registry->lock);
	ConditionVariableCancelSleep();

	if (slot == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("too many models are loaded"),
				 errdetail("A server can have %d models in memory.", BITNET_MAX_MODELS),
				 errhint("Unload one of them with bitnet_unload().")));
	return slot;
}

/*
 * Ends a claim.  Called also on the way out of an error or of the process.  A
 * slot that got no model has what it had before.
 */
static void
release_slot(int code, Datum arg)
{
	Slot	   *slot = (Slot *) DatumGetPointer(arg);
	bool		held = LWLockHeldByMe(&registry->lock);

	if (!held)
		LWLockAcquire(&registry->lock, LW_EXCLUSIVE);
	slot->loader = 0;
	if (slot->info.generation == 0 && slot->info.loads == 0)
	{
		if (find_slot(evicted.info.name) != NULL)	/* loaded again elsewhere meanwhile */
			evicted = (Slot) {0};
		slot->info = evicted.info;
		slot->rejected = evicted.rejected;
		slot->retry_at = evicted.retry_at;
		slot->stats = evicted.stats;
		slot->stats_since = evicted.stats_since;
	}
	if (!held)
		LWLockRelease(&registry->lock);
	ConditionVariableBroadcast(&registry->load_ended);
}

static int64
count_parameters(const bn_model *model)
{
	const bn_image_header *header = model->header;
	int64		n;

	n = (int64) header->token_embd.rows * header->token_embd.cols + header->output_norm.cols;
	if (!model->config->tied_head)
		n += (int64) header->output.rows * header->output.cols;
	for (int layer = 0; layer < model->config->n_layers; layer++)
	{
		for (int role = 0; role < BN_LAYER_ROLES; role++)
		{
			const bn_tensor *t = bn_layer_tensor(model, layer, role);

			if (t->type != BN_TENSOR_NONE)
				n += (int64) t->rows * t->cols;
		}
	}
	return n;
}

/*
 * Makes a finished image known to the server, in place of an older one.
 */
static void
publish(Slot *slot, const char *path, const BitnetImage *image, Mapping *m)
{
	const bn_image_header *header = m->model.model.header;
	BitnetModelInfo info;
	uint64		old_generation;
	dsm_handle	old_handle;

	memset(&info, 0, sizeof(info));
	strlcpy(info.name, m->model.name, NAMEDATALEN);
	strlcpy(info.path, path, MAXPGPATH);
	info.file = image->file;
	info.handle = dsm_segment_handle(image->segment);
	info.image_offset = image->offset;
	info.image_size = image->size;
	info.segment_size = dsm_segment_map_length(image->segment);
	strlcpy(info.architecture, header->architecture, sizeof(info.architecture));
	info.n_parameters = count_parameters(&m->model.model);
	info.context_length = header->config.context_length;
	info.vocab_size = header->config.vocab_size;
	info.checksum = header->source_checksum;
	info.loaded_at = GetCurrentTimestamp();

	LWLockAcquire(&registry->lock, LW_EXCLUSIVE);
	old_generation = slot->info.generation;
	old_handle = slot->info.handle;
	info.loads = slot->info.loads + 1;
	info.generation = ++registry->last_generation;
	dsm_pin_segment(image->segment);
	slot->info = info;
	memset(&slot->rejected, 0, sizeof(slot->rejected));
	m->model.generation = info.generation;
	dlist_push_head(&mappings, &m->node);
	LWLockRelease(&registry->lock);
	if (old_generation != 0)
	{
		/* Not under the lock, since it may be what frees the memory, which lasts */
		dsm_unpin_segment(old_handle);
		BitnetRetireEngine(old_generation, false);
	}
}

/*
 * Remembers a file that need not be tried before that time while an older image
 * serves.
 */
static void
set_rejected(Slot *slot, const BitnetFileIdentity *file, TimestampTz retry_at)
{
	LWLockAcquire(&registry->lock, LW_EXCLUSIVE);
	slot->rejected = *file;
	slot->retry_at = retry_at;
	LWLockRelease(&registry->lock);
}

/* What came of a load */
typedef struct LoadResult
{
	bool		loaded;			/* by this call */
	bn_error	refused;		/* why the changed file was not, or BN_OK */
	char		path[MAXPGPATH];
} LoadResult;

/*
 * Does the work of load_locked() while the slot is ours.
 */
static void
load_into_slot(Slot *slot, const char *name, LoadMode mode, LoadResult *result)
{
	BitnetFileIdentity file;
	BitnetImage image;
	Mapping    *m;
	TimestampTz start = GetCurrentTimestamp();
	bn_status	status;
	bn_error	err = {0};
	bool		loaded = slot->info.generation != 0;	/* only we change it to true */

	if (!BitnetFindModelFile(name, result->path, &file))
	{
		if (loaded && mode != LOAD_ANEW)
			return;
		BitnetReportUnknownModel(name);
	}
	if (loaded && mode != LOAD_ANEW && BitnetSameFile(&file, &slot->info.file))
		return;

	for (;;)
	{
		/* Whatever goes wrong, lack of memory included, happens once only */
		set_rejected(slot, &file, DT_NOEND);
		status = BitnetReadModelFile(name, result->path, &image, &err);
		if (status == BN_OK)
			status = keep_mapping(name, image.segment, image.offset, image.size, &m, &err);
		if (status != BN_ERR_CANCELED)
			break;
		set_rejected(slot, &file, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), RETRY_DELAY));
		CHECK_FOR_INTERRUPTS();	/* returns if it was for nothing */
	}
	if (status != BN_OK)
	{
		BitnetExplainFileError(result->path, &err);
		if (!loaded || mode != LOAD_REFRESH)
			BitnetReportError(&err, psprintf(_("could not load model file \"%s\""), BitnetShownPath(result->path)));
		result->refused = err;
		return;
	}
	publish(slot, result->path, &image, m);
	result->loaded = true;
	ereport(LOG_SERVER_ONLY,
			(errmsg("bitnet: loaded model \"%s\" (%llu MB of shared memory) in %ld ms", name,
					(unsigned long long) (image.size >> 20),
					TimestampDifferenceMilliseconds(start, GetCurrentTimestamp()))));
}

/* Does the work of load_model() while the model is locked. */
static void
load_locked(const char *name, LoadMode mode, LoadResult *result)
{
	Slot	   *volatile slot = claim_slot(name);

	PG_ENSURE_ERROR_CLEANUP(release_slot, PointerGetDatum(slot));
	{
		load_into_slot(slot, name, mode, result);
	}
	PG_END_ENSURE_ERROR_CLEANUP(release_slot, PointerGetDatum(slot));
	release_slot(0, PointerGetDatum(slot));
}

/*
 * Loads the model, alone in the server.  True if this call did it.
 */
static bool
load_model(const char *name, LoadMode mode)
{
	LOCKTAG		tag;
	LoadResult	result = {0};

	set_lock_tag(&tag, name);
	if (LockAcquire(&tag, ExclusiveLock, false, mode == LOAD_REFRESH) == LOCKACQUIRE_NOT_AVAIL)
		return false;

	/*
	 * The lock goes before an error's message does, which may wait for a client
	 * that does not read; the end of the transaction comes after it.
	 */
	PG_TRY();
	{
		load_locked(name, mode, &result);
	}
	PG_CATCH();
	{
		LockRelease(&tag, ExclusiveLock, false);
		PG_RE_THROW();
	}
	PG_END_TRY();
	LockRelease(&tag, ExclusiveLock, false);

	if (result.refused.code != BN_OK)
		BitnetWarnOfError(&result.refused,
						  psprintf(_("could not load the changed model file \"%s\""), BitnetShownPath(result.path)),
						  _("The model as it was loaded before stays in use."));
	return result.loaded;
}

bool
BitnetLoadModel(const char *name, bool force_reload)
{
	bool		loaded;

	BitnetCheckModelName(name);
	attach_registry();
	loaded = load_model(name, force_reload ? LOAD_ANEW : LOAD_MISSING);
	release_stale_mappings();
	return loaded;
}

uint64
BitnetUnloadModel(const char *name)
{
	Slot	   *slot;
	uint64		bytes = 0;
	uint64		generation = 0;
	dsm_handle	handle = DSM_HANDLE_INVALID;

	BitnetCheckModelName(name);
	attach_registry();

	LWLockAcquire(&registry->lock, LW_EXCLUSIVE);
	slot = find_slot(name);
	if (slot && slot->info.generation != 0)
	{
		bytes = slot->info.segment_size;
		generation = slot->info.generation;
		handle = slot->info.handle;
		slot->info.generation = 0;
		memset(&slot->rejected, 0, sizeof(slot->rejected));
	}
	LWLockRelease(&registry->lock);
	if (generation != 0)
		dsm_unpin_segment(handle);

	release_stale_mappings();
	if (generation != 0)
		BitnetRetireEngine(generation, true);
	return bytes;
}

/* ---- use ---- */

/*
 * Is another state of the model's file there than the one that is loaded, and
 * is it worth a try?
 */
static bool
file_has_changed(const char *name)
{
	char		path[MAXPGPATH];
	BitnetFileIdentity file;
	Slot	   *slot;
	bool		changed;

	if (!BitnetFindModelFile(name, path, &file))
		return false;
	LWLockAcquire(&registry->lock, LW_SHARED);
	slot = find_slot(name);
	changed = slot && slot->info.generation != 0 && !BitnetSameFile(&file, &slot->info.file) &&
		(!BitnetSameFile(&file, &slot->rejected) || GetCurrentTimestamp() >= slot->retry_at);
	LWLockRelease(&registry->lock);
	return changed;
}

static void
unpin(void *arg)
{
	Pin		   *pin = arg;

	dlist_delete(&pin->node);
	let_go(pin);
}

static Pin *
find_pin(MemoryContext context, const char *name)
{
	dlist_iter	iter;

	dlist_foreach(iter, &pins)
	{
		Pin		   *pin = dlist_container(Pin, node, iter.cur);

		if (pin->context == context && strcmp(pin->name, name) == 0)
			return pin;
	}
	return NULL;
}

const BitnetModel *
BitnetPinModel(MemoryContext context, const char *name)
{
	Pin		   *pin;
	Mapping    *m;

	if (name == NULL)
		name = bitnet_model;
	pin = find_pin(context, name);
	if (pin && pin->transaction == compat_transaction())
		return pin->model;

	BitnetCheckModelName(name);
	attach_registry();

	if (file_has_changed(name))
		(void) load_model(name, LOAD_REFRESH);
	while ((m = attach_model(name)) == NULL)
		(void) load_model(name, LOAD_MISSING);

	if (pin)
		let_go(pin);
	else
	{
		pin = MemoryContextAllocZero(context, sizeof(Pin));
		pin->context = context;
		strlcpy(pin->name, name, NAMEDATALEN);
		pin->callback.func = unpin;
		pin->callback.arg = pin;
		dlist_push_head(&pins, &pin->node);
		MemoryContextRegisterResetCallback(context, &pin->callback);
	}
	pin->transaction = compat_transaction();
	pin->model = &m->model;
	m->model.pins++;

	release_stale_mappings();
	return pin->model;
}

const BitnetModel *
BitnetGetModel(FmgrInfo *flinfo, const char *name)
{
	return BitnetPinModel(flinfo ? flinfo->fn_mcxt : CurrentMemoryContext, name);
}

int
BitnetListModels(BitnetModelInfo *info)
{
	int			n = 0;

	attach_registry();
	LWLockAcquire(&registry->lock, LW_SHARED);
	for (int i = 0; i < BITNET_MAX_MODELS; i++)
	{
		if (registry->slots[i].info.name[0] != '\0')
			info[n++] = registry->slots[i].info;
	}
	LWLockRelease(&registry->lock);
	return n;
}

/* ---- statistics, and where the board is ---- */

void
BitnetCount(const char *model, const BitnetModelStats *more)
{
	Slot	   *slot;

	LWLockAcquire(&registry->lock, LW_SHARED);
	slot = find_slot(model);
	if (slot)
	{
		BitnetModelStats *sum = &slot->stats;

		SpinLockAcquire(&slot->count_mutex);
		sum->calls += more->calls;
		sum->texts += more->texts;
		sum->prompt_tokens += more->prompt_tokens;
		sum->cached_tokens += more->cached_tokens;
		sum->output_tokens += more->output_tokens;
		sum->queue_time += more->queue_time;
		sum->prefill_time += more->prefill_time;
		sum->decode_time += more->decode_time;
		sum->steps += more->steps;
		sum->sequence_steps += more->sequence_steps;
		sum->drafted_tokens += more->drafted_tokens;
		sum->accepted_tokens += more->accepted_tokens;
		sum->cancels += more->cancels;
		sum->errors += more->errors;
		SpinLockRelease(&slot->count_mutex);
	}
	LWLockRelease(&registry->lock);
}

int
BitnetListCounts(BitnetModelCount *counts)
{
	int			n = 0;

	attach_registry();
	LWLockAcquire(&registry->lock, LW_SHARED);
	for (int i = 0; i < BITNET_MAX_MODELS; i++)
	{
		Slot	   *slot = &registry->slots[i];

		/* One that is only being loaded has not been used */
		if (slot->info.name[0] == '\0' || slot->info.loads == 0)
			continue;
		strlcpy(counts[n].name, slot->info.name, NAMEDATALEN);
		SpinLockAcquire(&slot->count_mutex);
		counts[n].stats = slot->stats;
		counts[n].since = slot->stats_since;
		SpinLockRelease(&slot->count_mutex);
		n++;
	}
	LWLockRelease(&registry->lock);
	return n;
}

bool
BitnetResetCounts(const char *model)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		found = model == NULL;

	attach_registry();
	LWLockAcquire(&registry->lock, LW_SHARED);
	for (int i = 0; i < BITNET_MAX_MODELS; i++)
	{
		Slot	   *slot = &registry->slots[i];

		if (slot->info.name[0] == '\0' || (model && strcmp(slot->info.name, model) != 0))
			continue;
		SpinLockAcquire(&slot->count_mutex);
		memset(&slot->stats, 0, sizeof(slot->stats));
		slot->stats_since = now;
		SpinLockRelease(&slot->count_mutex);
		found = true;
	}
	LWLockRelease(&registry->lock);
	return found;
}

dsm_handle
BitnetBoardHandle(void)
{
	dsm_handle	handle;

	attach_registry();
	LWLockAcquire(&registry->lock, LW_SHARED);
	handle = registry->board;
	LWLockRelease(&registry->lock);
	return handle;
}

dsm_handle
BitnetOfferBoard(dsm_handle handle)
{
	LWLockAcquire(&registry->lock, LW_EXCLUSIVE);
	if (registry->board == DSM_HANDLE_INVALID)
		registry->board = handle;
	handle = registry->board;
	LWLockRelease(&registry->lock);
	return handle;
}

int
BitnetTranche(void)
{
	attach_registry();
	return registry->tranche;
}
