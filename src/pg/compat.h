/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  What differs between the supported versions of PostgreSQL.
 *
 * Every test of PG_VERSION_NUM in the project stands here.  postgres.h must
 * have been included before.
 *
 * src/pg/compat.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BITNET_COMPAT_H
#define BITNET_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "bitnet needs PostgreSQL 15 or newer"
#endif

#include "catalog/pg_proc.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/acl.h"
#include "utils/guc_tables.h"
#include "utils/wait_event.h"

#if PG_VERSION_NUM >= 170000
#include "access/parallel.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/dsm_registry.h"
#endif
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif

#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

#if PG_VERSION_NUM < 170000
#define TransactionTimeoutPending false
#else
#define F_RANDOM F_RANDOM_
#endif

/*
 * A small structure shared by the whole server, made by whoever comes first.
 * init must not do more than fill it in: others wait meanwhile, and cannot be
 * cancelled.
 *
 * Version 17 has a registry for this.  Before, it is the spare part of main
 * shared memory, which any process may take from at run time.
 */
static inline void *
compat_shared_struct(const char *name, Size size, void (*init) (void *ptr))
{
	bool		found;
#if PG_VERSION_NUM >= 170000
	void	   *result = GetNamedDSMSegment(name, size, init, &found);
#else
	void	   *result;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	result = ShmemInitStruct(name, size, &found);
	if (!found)
		init(result);
	LWLockRelease(AddinShmemInitLock);
#endif
	return result;
}

/* Does compat_shared_struct() take from main shared memory? */
#if PG_VERSION_NUM >= 170000
#define COMPAT_SHARED_STRUCT_IN_MAIN false
#else
#define COMPAT_SHARED_STRUCT_IN_MAIN true
#endif

/* The number under which a named wait shows in pg_stat_activity. */
static inline uint32
compat_wait_event(uint32 *cached, const char *name)
{
#if PG_VERSION_NUM >= 170000
	if (*cached == 0)
		*cached = WaitEventExtensionNew(name);
	return *cached;
#else
	return PG_WAIT_EXTENSION;
#endif
}

/*
 * May there be a conflict with recovery?  From version 17 on it shows only in that
 * there is some interrupt; CHECK_FOR_INTERRUPTS() tells, and returns if there is none.
 */
static inline bool
compat_conflict_pending(void)
{
#if PG_VERSION_NUM >= 170000
	return InterruptPending && !ParallelMessagePending && RecoveryInProgress();
#else
	return false;				/* it is a cancel, or a termination */
#endif
}

/* The transaction under way, as a number that the process does not use again soon. */
static inline LocalTransactionId
compat_transaction(void)
{
#if PG_VERSION_NUM >= 170000
	return MyProc->vxid.lxid;
#else
	return MyProc->lxid;
#endif
}

/* The number of this process, below MaxBackends. */
static inline int
compat_proc_number(void)
{
#if PG_VERSION_NUM >= 170000
	return MyProcNumber;
#else
	return MyProc->pgprocno;
#endif
}

/* May the role call the function? */
static inline AclResult
compat_function_aclcheck(Oid function, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(ProcedureRelationId, function, role, ACL_EXECUTE);
#else
	return pg_proc_aclcheck(function, role, ACL_EXECUTE);
#endif
}

/* What an ExecutorRun_hook is given; its names are those here. */
#if PG_VERSION_NUM >= 180000
#define COMPAT_RUN_PARAMETERS QueryDesc *query, ScanDirection direction, uint64 count
#define COMPAT_RUN_ARGUMENTS query, direction, count
#else
#define COMPAT_RUN_PARAMETERS QueryDesc *query, ScanDirection direction, uint64 count, bool once
#define COMPAT_RUN_ARGUMENTS query, direction, count, once
#endif

/* The setting of that name, or what stands in for it; NULL if there is none. */
static inline struct config_generic *
compat_find_setting(const char *name)
{
#if PG_VERSION_NUM >= 160000
	return find_option(name, false, true, 0);
#else
	struct config_generic **settings = get_guc_variables();

	for (int i = 0; i < GetNumConfigOptions(); i++)
	{
		if (pg_strcasecmp(settings[i]->name, name) == 0)
			return settings[i];
	}
	return NULL;
#endif
}

#endif							/* BITNET_COMPAT_H */
