/** Every kind of command and query that a history plays. */
import { ACCESS_COMMANDS, ACCESS_QUERIES } from "./access-kinds.js"
import { APPEND_COMMANDS, APPEND_QUERIES } from "./append-kinds.js"
import { CHANGE_COMMANDS, CHANGE_QUERIES } from "./change-kinds.js"
import { CLUSTER_COMMANDS, CLUSTER_QUERIES } from "./cluster-kinds.js"
import { COPIES_COMMANDS, COPIES_QUERIES } from "./copies-kinds.js"
import { COORD_COMMANDS, COORD_QUERIES } from "./coord-kinds.js"
import { DEDUP_COMMANDS, DEDUP_QUERIES } from "./dedup-kinds.js"
import { DEDUP_UPKEEP_COMMANDS, DEDUP_UPKEEP_QUERIES } from "./dedup-upkeep-kinds.js"
import { ENCRYPT_COMMANDS, ENCRYPT_QUERIES } from "./encrypt-kinds.js"
import { ENTRY_COMMANDS, ENTRY_QUERIES } from "./entry-kinds.js"
import { ERASE_COMMANDS, ERASE_QUERIES } from "./erase-kinds.js"
import { HISTORY_COMMANDS, HISTORY_QUERIES } from "./history-kinds.js"
import { ITEM_COMMANDS, ITEM_QUERIES } from "./item-kinds.js"
import { KEY_COMMANDS, KEY_QUERIES } from "./key-kinds.js"
import { KMS_COMMANDS, KMS_QUERIES } from "./kms-kinds.js"
import { LIFECYCLE_COMMANDS, LIFECYCLE_QUERIES } from "./lifecycle-kinds.js"
import { MOMENT_QUERIES } from "./moment-kinds.js"
import { MULTIPART_COMMANDS } from "./multipart-kinds.js"
import { OBJECT_COMMANDS } from "./object-kinds.js"
import { OBJECT_QUERIES } from "./object-queries.js"
import { QUOTA_COMMANDS, QUOTA_QUERIES } from "./quota-kinds.js"
import { PACKING_COMMANDS, PACKING_QUERIES } from "./packing-kinds.js"
import { REFERENCE_COMMANDS, REFERENCE_QUERIES } from "./reference-kinds.js"
import { REMOTE_COMMANDS, REMOTE_QUERIES } from "./remote-kinds.js"
import { RENAME_COMMANDS, RENAME_QUERIES } from "./rename-kinds.js"
import { QUEUE_COMMANDS, QUEUE_QUERIES } from "./queue-kinds.js"
import type { PlayKind } from "./scene.js"
import { TOKEN_COMMANDS, TOKEN_QUERIES } from "./token-kinds.js"
import { TRANSACTION_COMMANDS, TRANSACTION_QUERIES } from "./transaction-kinds.js"
import { UNDELETE_COMMANDS, UNDELETE_QUERIES } from "./undelete-kinds.js"

const OF_OBJECTS = [
  ...OBJECT_COMMANDS,
  ...MULTIPART_COMMANDS,
  ...RENAME_COMMANDS,
  ...LIFECYCLE_COMMANDS,
  ...ERASE_COMMANDS,
  ...ENCRYPT_COMMANDS,
  ...QUOTA_COMMANDS,
  ...TOKEN_COMMANDS,
  ...UNDELETE_COMMANDS,
  ...ITEM_COMMANDS,
  ...CHANGE_COMMANDS,
  ...APPEND_COMMANDS,
  ...REFERENCE_COMMANDS,
]
const DRAWN_COMMANDS = [
  ...OF_OBJECTS,
  ...QUEUE_COMMANDS,
  ...KEY_COMMANDS,
  ...ACCESS_COMMANDS,
  ...KMS_COMMANDS,
  ...CLUSTER_COMMANDS,
]
export const COMMANDS = [
  ...DRAWN_COMMANDS,
  ...COORD_COMMANDS,
  ...DEDUP_COMMANDS,
  ...DEDUP_UPKEEP_COMMANDS,
  ...TRANSACTION_COMMANDS,
  ...HISTORY_COMMANDS,
  ...PACKING_COMMANDS,
  ...COPIES_COMMANDS,
  ...ENTRY_COMMANDS,
  ...REMOTE_COMMANDS,
]
const OF_KEYS = [...KEY_QUERIES, ...ERASE_QUERIES, ...ENCRYPT_QUERIES, ...KMS_QUERIES]
/** Kinds that all rounds draw from, but for those of APART. */
export const DRAWN: readonly PlayKind[] = [
  ...DRAWN_COMMANDS,
  ...OBJECT_QUERIES,
  ...RENAME_QUERIES,
  ...LIFECYCLE_QUERIES,
  ...QUOTA_QUERIES,
  ...TOKEN_QUERIES,
  ...UNDELETE_QUERIES,
  ...ITEM_QUERIES,
  ...CHANGE_QUERIES,
  ...APPEND_QUERIES,
  ...REFERENCE_QUERIES,
  ...MOMENT_QUERIES,
  ...QUEUE_QUERIES,
  ...OF_KEYS,
  ...ACCESS_QUERIES,
  ...CLUSTER_QUERIES,
]
/** Kinds with rounds of their own, so that they shift no random choice of the others. */
export const APART: readonly PlayKind[] = [
  ...COORD_COMMANDS,
  ...COORD_QUERIES,
  ...DEDUP_COMMANDS,
  ...DEDUP_QUERIES,
  ...DEDUP_UPKEEP_COMMANDS,
  ...DEDUP_UPKEEP_QUERIES,
  ...TRANSACTION_COMMANDS,
  ...TRANSACTION_QUERIES,
  ...HISTORY_COMMANDS,
  ...HISTORY_QUERIES,
  ...PACKING_COMMANDS,
  ...PACKING_QUERIES,
  ...COPIES_COMMANDS,
  ...COPIES_QUERIES,
  ...ENTRY_COMMANDS,
  ...ENTRY_QUERIES,
  ...REMOTE_COMMANDS,
  ...REMOTE_QUERIES,
]
export const KINDS = [...DRAWN, ...APART]

/** Kinds that compete if they run at the same time, and those that make what they compete for. */
const COMPETING: readonly (readonly string[])[] = [
  ["CreateBucket", "CloseBucket", "DropBucket", "PutVersion"],
  ["OpenBucket", "CloseBucket", "CreateUpload", "BucketNamed"],
  ["PutVersion", "RemoveVersion"],
  ["PutVersion", "RemoveLatest", "SetVersioning", "PageOfVersions"],
  ["PutVersion", "RemoveVersion", "SetTags", "VersionRows"],
  ["PutVersion", "RemoveLatest", "SetAttributes", "SetAcl", "VersionRows"],
  ["CreateBucket", "SetBucketLock", "PutVersion", "SetRetention", "SetLegalHold", "RemoveVersion"],
  ["StartClock", "AdvanceClock", "ReadStoreClock"],
  ["ConfirmTime", "ReadConfirmedTime"],
  ["PutVersion", "RenameObject", "RemoveLatest", "SetTags", "Renamable"],
  ["CreateUpload", "SealUpload", "RenameObject", "PutVersion", "AbortUpload"],
  ["PutPart", "SealUpload", "PartsOfUpload"],
  ["CreateUpload", "PutPart", "AbortUpload", "PartsOfUpload"],
  ["SealUpload", "PutSegment", "CompleteUpload", "AbortUpload"],
  ["CreateUpload", "SealUpload", "PutSegment", "CompleteUpload", "SegmentOfManifest", "SegmentOfOffset"],
  ["SetSetting", "PutVersion", "ExpireLatest", "ExpireNoncurrent", "DueVersions"],
  ["SetSetting", "PutVersion", "SetStorageClass", "ExpireNoncurrent", "DueVersions"],
  ["SetStorageClass", "NoteLateWrites", "ForgetNotes", "ReencodeNotes"],
  ["PutVersion", "RestoreArchived", "RemoveVersion", "PageOfVersions"],
  ["CreateUpload", "SealUpload", "CompleteUpload", "ExpireUpload", "DueUploads"],
  ["TakeSlice", "TakeOverSlice", "EndSlice", "LifecyclePasses"],
  ["SetBucketQuota", "FinishBucketUsage", "PutVersion", "RemoveVersion", "QuotaState"],
  ["CreateBucket", "SetAccountQuota", "AdvanceAccountUsage", "PutVersion", "QuotaStates"],
  ["SetBucketQuota", "CreateUpload", "PutPart", "FreezeUpload", "AbortUpload", "IsUploadCounted", "SumOfParts"],
  ["SetBucketQuota", "CreateUpload", "PutPart", "SealUpload", "PutSegment", "CompleteUpload", "CompareUsage"],
  ["SetSetting", "Append", "PutVersion", "SegmentOfOffset", "Appendable"],
  ["SetSetting", "Append", "ReplaceSegments", "RemoveLatest", "OpenEndFrom", "FirstOfFeatures"],
  ["SetSetting", "Append", "IntoSegments", "Concatenate", "RemoveLatest", "SegmentsFrom"],
  ["SetSetting", "Append", "Concatenate", "RemoveLatest", "KeepReferenced", "DropSource", "ReferencesOf"],
  ["SetSetting", "PutVersion", "IntoSegments", "Concatenate", "ReplaceSource", "SourceAt"],
  ["SetUndelete", "PutVersion", "RemoveLatest", "UndeleteObject", "ListDeleted"],
  ["SetUndelete", "PutVersion", "RemoveLatest", "PurgeDeleted", "UndeleteObject", "UsageOfBucket"],
  ["SetUndelete", "PutVersion", "RemoveLatest", "UndeleteObject", "BeginReencoding", "SwapExtent"],
  ["CreateBucket", "SetUndelete", "PutVersion", "RemoveLatest", "PurgeDeleted", "CloseBucket", "DropBucket"],
  ["CreateBucket", "WriteItems", "ReadItem", "ReadItems", "ReadChanges", "ReadPartitions"],
  ["CreateBucket", "WriteItems", "RestoreItems", "ReadItem", "ReadItems", "ReadChanges", "ReadPartitions"],
  ["CreateBucket", "WriteItems", "CollectTombstones", "ReadItem", "ReadChanges", "RestoreItems", "OldTombstones"],
  ["CreateBucket", "WriteItems", "CloseBucket", "DropBucket", "DropContents", "FindContents"],
  ["SetBucketQuota", "FinishBucketUsage", "WriteItems", "QuotaState", "WalkUsage"],
  ["CreateQueue", "AddMessages", "ClaimMessages", "RemoveMessages", "ReadQueue", "ListMessages"],
  ["CreateQueue", "AddMessages", "ClaimMessages", "RescheduleMessages", "ReadFirstDue", "PeekMessages"],
  ["CreateQueue", "AddMessages", "EmptyQueue", "RemoveQueue", "RemoveEndedMessages", "FindEndedMessages"],
  ["CreateQueue", "ChangeQueue", "AddMessages", "ClaimMessages", "CountLaterMessages", "ReadMessageContents"],
  ["SetSetting", "HoldPendingWrites", "CloseBucket", "DropBucket", "PendingHeldSince"],
  ["SetSetting", "PutVersion", "RemoveLatest", "NoteObjectChanges", "EndObjectChange", "ReadObjectChanges"],
  [
    "SetSetting",
    "PutVersion",
    "RemoveLatest",
    "RenameObject",
    "SetAttributes",
    "EndObjectChange",
    "BucketsWithChanges",
  ],
  ["BeginReencoding", "SwapExtent", "RemoveVersion"],
  ["BeginReencoding", "SwapExtent", "GiveUpReencoding", "PutVersion"],
  ["BeginReencoding", "AddSealing", "SwapSealed", "PutVersion", "RemoveVersion", "SealedHeader"],
  ["CreateUpload", "PutPart", "AddSealing", "SealUpload", "PutSegment", "CompleteUpload", "BytesToSeal"],
  ["PutVersion", "SealPayload", "RemoveVersion", "RowsToEncrypt"],
  ["CreateBucket", "RaiseBucketIds", "DropBucket"],
  ["AddBucketSecret", "AddBucketKey", "CloseBucket", "DropBucket", "FreshBucketKey", "EpochsOfSecrets"],
  ["AddBucketSecret", "CloseForErasure", "EraseBucket", "PutVersion", "DropErasedKey", "DropErasedBucket"],
  ["AddBucketSecret", "CloseForErasure", "EraseBucket", "CreateUpload", "DropErasedUpload"],
  ["AddBucketSecret", "ResealSecrets", "EraseBucket", "OpenBucket", "SecretsUnder", "BucketErasures"],
  ["RestoreVersion", "PutVersion", "RemoveVersion", "KeyFacts"],
  ["RestorePart", "PutPart", "SealUpload", "AbortUpload", "KeyFacts"],
  ["RecordHints", "DropRows", "ReadHints"],
  ["CreateIdentity", "DeleteIdentity", "JoinGroup"],
  ["DeleteIdentity", "JoinGroup", "LeaveGroup"],
  ["CreatePolicy", "DeletePolicy", "AttachPolicy"],
  ["CreateIdentity", "CreatePolicy", "AttachPolicy", "DetachPolicy"],
  ["CreatePolicy", "AddPolicyVersion", "RemovePolicyVersion"],
  ["CreateIdentity", "PutInlinePolicy", "DeleteInlinePolicy"],
  ["CreateIdentity", "AddAccessKey", "SetKeyActive", "LimitAccessKey", "ChangeAccessKey", "DropAccessKey"],
  ["CreateIdentity", "DeleteIdentity", "AddAccessKey", "NoteKeyUses"],
  ["BeginAudit", "DropAudit", "EndAudit", "OldAudit", "ReadAudit"],
  ["CreateAdminToken", "RevokeAdminToken", "NoteAdminTokenUse", "ReadAdminTokens"],
  ["SetSwiftAccount", "ReadSwiftAccount", "DeletedSwiftAccounts"],
  ["CreateKmsKey", "ChangeKmsKey", "DeleteKmsKey", "PutKmsAlias", "DeleteKmsAlias", "ReadKmsKey"],
  ["ChangeControl", "ControlRow", "LayoutTable"],
  ["JoinNode", "BeatNode", "RemoveNodeRow", "NodeRows"],
  ["TakeLease", "BeatNode", "ReleaseLeases", "LeaseRows"],
  ["AdvanceEpoch", "RestartEpochs", "EpochRows", "EpochOfAge"],
  ["RenameUser", "JoinGroup", "ReadLinked"],
]

const COMPETING_APART: readonly (readonly string[])[] = [
  ["SetSetting", "SetVersioning", "PutVersion", "RemoveVersion", "RenameObject", "ExpireNoncurrent", "HistorySince"],
  ["CreateSession", "EndSession", "AcquireLock", "ReadLock", "ListLocks", "ReadBeats"],
  ["CreateSession", "AcquireLock", "ReleaseLock", "RenewSession", "ReadCoordChanges", "ReadFence"],
  [
    "CreateSession",
    "AcquireLock",
    "ReleaseLock",
    "PutSmallFile",
    "DeleteSmallFile",
    "RestoreSmallFile",
    "ReadSmallFile",
  ],
  [
    "CreateSession",
    "EndSession",
    "PutSmallFile",
    "DeleteSmallFile",
    "RestoreSmallFile",
    "ListSmallFiles",
    "ListNamespaces",
  ],
  ["CreateSession", "EndSession", "RenewSession", "ReadSession", "ListSessions", "CountSessions"],
  ["CreateSession", "AcquireLock", "ReleaseLock", "EndSession", "PutVersion", "RemoveLatest", "RenameObject"],
  ["PutDeduplicated", "RemoveLatest", "KeepReferenced", "DropSource", "DropDigests", "FindKnownBlock"],
  ["PutDeduplicated", "SetStorageClass", "IndexBlocks", "DropDigests", "DigestRowsOf", "FirstDigests"],
  ["PutDeduplicated", "CloseReferences", "FindKnownBlock", "RemoveLatest", "KeepReferenced", "DropDigests"],
  [
    "PutDeduplicated",
    "CreateUpload",
    "SealUpload",
    "PutSharedSegment",
    "PutPartDigests",
    "DropStale",
    "HasStale",
    "FindKnownParts",
  ],
  ["PutDeduplicated", "PutSharedSegment", "CompleteUpload", "ReplaceReferring", "DropSource", "IsReferable"],
  ["SetSetting", "PutDeduplicated", "PutVersion", "GiveDigests", "RemoveLatest", "IndexBlocks", "CheckDigests"],
  ["PutDeduplicated", "SetReferences", "DropSource", "RemoveLatest", "KeepReferenced", "ReferencesRows", "SourcesFrom"],
  ["CommitTransaction", "PutVersion", "RemoveLatest", "VersionRows", "DropGuards", "FindTransaction"],
  ["CreateBucket", "CommitTransaction", "PutVersion", "RemoveVersion", "DropGuards", "OverTransactions"],
  ["CreateUpload", "PutPart", "SealUpload", "PutSegment", "CommitTransaction", "AbortUpload"],
  ["SetBucketQuota", "FinishBucketUsage", "CommitTransaction", "PutVersion", "QuotaState"],
  ["SetSetting", "PutVersion", "PackVersions", "RemoveLatest", "KeepReferenced", "DropSource", "SegmentOfOffset"],
  ["SetSetting", "PutVersion", "PackVersions", "TakePackingSlice", "NotePacked", "PackingCandidates", "PacksFrom"],
  ["SetSetting", "PutVersion", "RemoveLatest", "SetTags", "ChangeCopies", "RestartCopies", "ReadCopyLog"],
  ["CreateAccount", "AttachToEntry", "DetachFromEntry", "ReadEntries", "ReadPerson", "ReadLinkedEntries"],
]

const equally = (kind: PlayKind): PlayKind => ({ ...kind, weight: 1 })

/** Returns the kinds that make up rounds of plays at the same time. */
const themesOf = (competing: typeof COMPETING): readonly (readonly PlayKind[])[] =>
  competing.map(names => KINDS.filter(({ name }) => names.includes(name)).map(equally))
export const THEMES = [DRAWN, ...themesOf(COMPETING)]
export const THEMES_APART = [APART, ...themesOf(COMPETING_APART)]

/** These kinds, and those of their themes: some do nothing before others have succeeded. */
export function withTheirThemes(kinds: readonly PlayKind[]): readonly PlayKind[] {
  const names = new Set(kinds.map(({ name }) => name))
  const themes = [...COMPETING, ...COMPETING_APART].filter(theme => theme.some(name => names.has(name)))
  return KINDS.filter(({ name }) => names.has(name) || themes.some(theme => theme.includes(name)))
}
