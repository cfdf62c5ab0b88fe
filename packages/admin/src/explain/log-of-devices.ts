/** Log events about disks, the metadata on them, and where data is kept. */
import { error, warn, warnOrError, type LogText } from "./contract.js"

const DISK_DIES = "design/failure-scenarios.md#a-disk-dies-while-the-store-runs"
const DISK_HANGS = "design/failure-scenarios.md#a-disk-hangs-or-is-slow"
const ALL_STALL = "design/failure-scenarios.md#all-disks-stall-at-once"
const WRONG_DATA = "design/failure-scenarios.md#a-disk-returns-wrong-data"
const DISK_FULL = "design/failure-scenarios.md#a-disk-is-full"
const ONE_DISK_LEFT = "design/failure-scenarios.md#only-one-disk-is-left-for-a-write"

export const DEVICE_EVENTS = {
  device_does_not_respond: error(
    "A call to the disk did not finish within 4 seconds, while enough of the other devices answered. The device counts as faulty and is taken offline, unless it has the last metadata replica. Reads use other shards.",
    "Read the kernel's log for errors of this disk, its cable and its controller. If the disk is well again the store takes it back by itself; if not, replace it: `hayloft device replace DEVICE FOLDER`.",
    DISK_HANGS,
  ),
  devices_stalled: error(
    "So many devices do not answer at the same time that the store could not go on without them: one stall of what they share. None is given up. Requests wait for 5 seconds and are then answered 503 with Retry-After, and the store is not ready. It goes on by itself as soon as the devices answer.",
    "Look for what the devices have in common: a snapshot or `fsfreeze` of their file system, a controller, a SAN, a machine without memory or processor time. A restart does not help.",
    ALL_STALL,
  ),
  device_taken_offline: error(
    "A disk failed, hung, or was claimed by another node; `reason` says which. It is neither read nor written any more. Nothing that was acknowledged is lost while `hayloft status` says that the data is readable.",
    "Run `hayloft status` to see how many further disks may fail, and read the kernel's log. The store retries the disk by itself; after 15 minutes it rebuilds the shards on other disks, if there are enough. If the disk is dead: `hayloft device replace DEVICE FOLDER`, or `hayloft device forget DEVICE`.",
    DISK_DIES,
  ),
  device_cannot_return_yet: warn(
    "The store has tried an offline device again and still cannot use it; `reason` says why. It tries again after 10 seconds at first, later every 15 minutes, and warns only if the reason is another one.",
    "Repair what `reason` names: mount the disk, correct the owner of the folder, free some space, or replace the disk. If the folder is another device now, because it was empty when its node started: `hayloft device forget DEVICE`. `hayloft device check DEVICE` tries immediately.",
    DISK_DIES,
  ),
  device_cannot_be_opened: error(
    "At the start a device could not be opened; `reason` says why. The store has started without it and treats it as offline.",
    "Repair what `reason` names: space, access rights, a disk that fails. The running store tries again by itself. If the disk is lost: `hayloft device replace DEVICE FOLDER`.",
    "design/failure-scenarios.md#disks-are-missing-empty-swapped-or-old-at-a-start",
  ),
  device_cannot_join: error(
    "A new data folder of this node could not be opened and has not become part of the store; `reason` says why. Nothing was stored there.",
    "Repair the folder at `path` (mounted, empty, writable for the user of the process), then restart this node or add the folder: `hayloft device add FOLDER`.",
    "operate/operate.md#adding-replacing-and-removing-disks",
  ),
  volume_damaged: error(
    "Part of a file with object data is damaged or missing on this device. The needles in it count as missing shards; with other shards left, reads go on and repair writes them again.",
    "Nothing urgent if `hayloft status` shows repair at work and no lost blocks. Suspect the disk if this happens again. With a single folder the objects concerned are unreadable: stop the store, run `hayloft volume fsck FOLDER`, and upload them again.",
    WRONG_DATA,
  ),
  objects_written_with_single_copy: error(
    "So few devices can be written that new data exists in one copy only. If that disk fails as well, what was written since is lost. Logged once a minute while it happens.",
    "Bring a device back or replace one (`hayloft device list`). The blocks are then re-encoded by themselves. To refuse such writes instead, start with `--refuse-single-copy`.",
    ONE_DISK_LEFT,
  ),
  single_metadata_replica_left: error(
    "Only one device still has a complete copy of the metadata. If its disk fails, the list of objects has to be recovered from the metadata backup.",
    "Bring a device back or add one: another device then learns the metadata by itself. `hayloft status` shows how far it is. Do not stop or pull the named device.",
    ONE_DISK_LEFT,
  ),
  no_further_disk_may_fail: error(
    "The store has less redundancy than it should have, and the loss of one more disk would lose data. `safety` is the sentence that `hayloft status` shows.",
    "Do not pull, restart or reformat any disk. Bring back the devices that `safety` names, or replace them; `hayloft status` shows the repair and when it will be done.",
    "operate/operate.md#status-line-by-line",
  ),
  control_record_change_failed: error(
    "A change of the store's control record (which devices it has, and their states) could not be written to enough devices, or to the database. The state before it stays in effect.",
    "Run `hayloft status`: a device or the database is unreachable or full, and `error` says which. The store repeats the change by itself; if this line repeats for minutes, repair what it names.",
  ),
  keys_not_on_all_devices: warn(
    "A device does not have the newest encryption keys of the store, because it is full, overloaded or does not respond. Requests that need a new key fail until it has them; objects that exist can be read.",
    "Free space on the device that `reason` names, or repair the disk. The store repeats this by itself; `hayloft_devices_short_of_keys` is 1 while it lasts.",
    "guide/encryption.md",
  ),
  first_key_not_made: warn(
    "A request needed the first encryption key of this store, and the key could not be written to enough devices. The request was refused.",
    "Repair what `error` names: usually a device that is full or offline, or a node that still runs an older release. The next request that needs a key tries again.",
    "guide/encryption.md#before-the-first-encrypted-object",
  ),
  ballast_released: warn(
    "The file system is full, so the store has deleted some of its ballast files to finish deletes, repair and checkpoints. New objects are refused with 507 `StorageFull`.",
    "Delete objects, remove other files from this file system, or add a device: `hayloft device add FOLDER`. The ballast is restored by itself.",
    "operate/operate.md#space",
  ),
  ballast_release_failed: warn(
    "The file system is full, and a ballast file could not be shortened to make space. Writes of this device may stop.",
    "Remove other files from the file system. Read `error`: a read-only or faulty file system shows here too.",
    DISK_FULL,
  ),
  metadata_table_unreadable: error(
    "The disk returns errors for one file of the metadata store. The file is left as it is, merges go on without it, and it is tried again later. Rows in it are read from another metadata replica.",
    "Read the kernel's log: the disk probably has bad sectors. Replace it soon: `hayloft device replace DEVICE FOLDER`. If this is the only metadata replica, first add a device, so that there is another one.",
    WRONG_DATA,
  ),
  metadata_store_repaired_from_parity: warn(
    "A damaged stretch in a file of the metadata store was found, rebuilt from the parity in the same file, and written back. Nothing is lost.",
    "Nothing now. If it happens again on the same disk, replace the disk: it returns wrong data.",
    WRONG_DATA,
  ),
  metadata_store_damaged: error(
    "The metadata store of a device is damaged, or differs from those of the other replicas. It is discarded and learned again from the others; requests use these meanwhile.",
    "Watch `metadata` in `hayloft status` until no copy is missing. Check the disk. If this is the only metadata replica, stop the store and see `hayloft volume fsck FOLDER`.",
    "design/failure-scenarios.md#one-metadata-replica-is-silently-damaged",
  ),
  metadata_damaged_on_all_replicas: error(
    "Every device with a metadata replica has damage in it, so none can be rebuilt from another. Requests for intact rows are served; those that need a damaged row fail.",
    "Keep all folders as they are: no `device forget`, no `replace`. Stop the store, run `hayloft volume fsck FOLDER` for each folder to see the extent, and copy the folders before you try anything. The data can be recovered into a new store: `hayloft rescue`.",
    "design/failure-scenarios.md#no-device-has-the-metadata-any-more",
  ),
  metadata_store_discarded: warn(
    "The damaged metadata store of a device was discarded. If the device should have a replica, it learns the metadata again from the others. No object data is touched.",
    "Nothing, if it happens once. Check the disk if it happens again.",
    "design/failure-scenarios.md#one-metadata-replica-is-silently-damaged",
  ),
  metadata_replicas_differ: error(
    "The metadata replicas disagree whether an object references this block. The block is kept, so nothing is lost.",
    "Restart the store when you can: a start compares all replicas row by row, and a wrong one is rebuilt. Check the disks of the metadata replicas for errors.",
    "design/failure-scenarios.md#one-metadata-replica-is-silently-damaged",
  ),
  metadata_replicas_differ_undecided: error(
    "Rows differ between metadata replicas although all are well formed, and no majority shows which is right. Nothing was changed; `rows` counts them.",
    "Keep all folders. If you know that one disk was wrong (restored from an image, reported errors), take that device out with `hayloft device remove DEVICE`, and the others remain. If not, report it as a bug with this log line.",
    WRONG_DATA,
  ),
  metadata_replicas_dropped: error(
    "These devices could not log a change that others have logged, so they no longer count as metadata replicas. A full device learns the metadata again once it has space; a failed one is taken offline.",
    "Run `hayloft status`: it shows how many metadata copies are missing and which device learns. Free space or replace the disk, as `error` says.",
    DISK_DIES,
  ),
  metadata_learner_failed: warn(
    "A device that was copying the metadata to become a replica has failed; `reason` says why. The store tries again, with this or another device.",
    "Nothing, if `hayloft status` shows later that no metadata copy is missing. If it repeats, repair the device that is named.",
    DISK_DIES,
  ),
  metadata_log_full: warn(
    "No device with a metadata replica has space for another entry of the commit log. Changes are refused with 507 `StorageFull`; reads go on.",
    "Free space on the disks that have the metadata: delete objects, remove other files, or add a device. The store continues by itself.",
    DISK_FULL,
  ),
  metadata_log_failed: error(
    "The commit log of the last metadata replica could not be written. All changes are refused with 503 from now on; reads continue. Entries that were acknowledged are safe.",
    "Read `error` and the kernel's log, and repair the disk (a read-only file system, bad sectors, a missing mount). Then restart the store: it does not accept changes before that.",
    ONE_DISK_LEFT,
  ),
  checkpoint_failed: warnOrError(
    "A checkpoint of this device failed and is tried again. Until one succeeds, rows stay in memory and in the log, and the space of deleted objects is not released. `warn`: the disk is full or busy; `error`: anything else, such as a disk error.",
    "If `error` says that the device is full, free some space. Otherwise read the kernel's log and check the disk. `/health/ready` names the device while this lasts; nothing is lost, but the next start takes longer.",
    DISK_FULL,
  ),
  metadata_row_set_aside: error(
    "A checkpoint met a row that is too long for the metadata store, and set it aside: the row stays readable, also after a restart, and the checkpoint goes on with the rest. `row` is its family and the beginning of its key. At most 16 rows, or 24 MiB, are set aside; beyond that checkpoints fail.",
    "Delete or overwrite what the row belongs to: the family says which service (queue messages, K2V items, objects). The next checkpoint then frees it, without a restart. Report it as a bug with this line: no request should be able to write such a row.",
    "design/failure-scenarios.md#a-metadata-row-cannot-be-written",
  ),
  metadata_merge_failed: warnOrError(
    "Files of this device's metadata store could not be merged; it is tried again. Reads go on, and become slower if it lasts. `warn`: the disk is full or busy; `error`: anything else, such as a disk error.",
    "If `error` says that the device is full, free some space. Otherwise read the kernel's log and check the disk.",
    DISK_FULL,
  ),
  commit_log_confirm_failed: warnOrError(
    "The commit log could not write the entry that marks its latest batch as whole; it is tried again. `warn`: the disk is full or busy; `error`: anything else, such as a disk error. What was acknowledged is on the disk.",
    "If `error` says that the device is full, free some space. Otherwise read the kernel's log and check the disk, which is about to be taken offline.",
    DISK_FULL,
  ),
  checkpoint_slow: warn(
    "A checkpoint on this device takes so long that other devices waited for it, or it makes no progress. It goes on in a thread of its own; other devices are not held up.",
    "Nothing, if it happens rarely under load. If it repeats, the disk is slow or about to fail: compare its latency with the others (`iostat -x`).",
    DISK_HANGS,
  ),
  checkpoint_thread_ended: error(
    "A thread that writes checkpoints has ended unexpectedly. The checkpoint fails and is repeated in a new thread; until then rows stay in memory and in the log, and nothing is lost.",
    "If `error` speaks of memory, give the process more. Otherwise report it as a bug, with this line.",
  ),
  checkpoint_thread_does_not_end: warn(
    "While the store stopped, a checkpoint on this device did not finish in time. The process goes on stopping without it; the next start reads more of the log instead. Nothing is lost.",
    "Check the named disk: it probably hangs.",
    DISK_HANGS,
  ),
  block_without_readable_needle: warn(
    "The headers of all shards of a block are unreadable, so its owner is unknown. The block is kept. This can be an object that lost too many shards, or remains of an upload that ended badly.",
    "Run `hayloft repair status`: it names objects that cannot be read. If it names none, nothing is lost. Check the disks if the line repeats for many blocks.",
    "design/failure-scenarios.md#more-disks-are-lost-than-the-code-allows",
  ),
  metadata_backup_postponed: warn(
    "There was no space to write the metadata backup among the shards. The previous backups stay; the next attempt is made later.",
    "Free space or add a device. Until then a loss of all metadata replicas would be recovered from an older backup.",
    DISK_FULL,
  ),
} as const satisfies Record<string, LogText>

export const PLACE_EVENTS = {
  stopping_folder_ownership_lost: error(
    "Another process has opened a data folder of this store, or another data folder is at its path now (it was exchanged, or a file system was mounted over it), so this process has ended itself at once. On a network file system the lock may not reach the other machine.",
    "If folders were exchanged, put them back, or start with all folders of the store, in any order. Otherwise find out which process runs now (`ps`, and on other machines that mount the folder), and start only one of them. If both wrote, stop the store and run `hayloft volume fsck FOLDER`.",
    "design/failure-scenarios.md#two-processes-use-one-folder",
  ),
  conversion_failed: error(
    "Moving the metadata between the store's devices and a database has failed; `reason` says why. The store goes on with the metadata where it was.",
    "Repair what `reason` names and repeat the command: `hayloft cluster init`, or `hayloft cluster leave`.",
    "operate/cluster.md#what-interrupts-a-move",
  ),
  database_not_told: warn(
    "The metadata is back on this store's devices, but the database could not be told so and still says that the store is leaving. The devices decide: the store is complete.",
    "Do not use this database again; drop its schema when you no longer need it.",
    "operate/cluster.md#and-back",
  ),
  store_opens_again: warn(
    "The metadata log has failed on every device that holds it, and the devices answer again: the store is opened again in its process, by the rules of a start. Requests wait for it.",
    "Nothing, if `store_opened_again` follows. If this repeats, the disks fail writes: read the kernel's log.",
    ALL_STALL,
  ),
  store_not_opened: error(
    "The store could not be opened again, in the new place of its metadata, or after its metadata log had failed. Requests wait, and it tries again; `reason` says why.",
    "Repair what `reason` names, usually a disk, or the connection to the database. Do not kill the process unless this continues: a restart continues the move as well.",
    "operate/cluster.md#what-interrupts-a-move",
  ),
} as const satisfies Record<string, LogText>
