/** Log events about requests, objects, and the jobs that work on them. */
import { error, warn, type LogText } from "./contract.js"

const CLOCK = "design/failure-scenarios.md#the-clock-is-wrong"
const SYNC = "guide/swift.md#container-sync"
const LIFECYCLE = "guide/lifecycle.md"
const REMOTE = "guide/remote-buckets.md#when-something-fails"
const COPIES = "guide/copies.md#when-something-fails"

const THREADS = "operate/front-threads.md#when-a-thread-ends"

export const REQUEST_EVENTS = {
  ldap_unavailable: warn(
    "The LDAP directory does not answer, or not as it should; `reason` says what happened. Nobody can sign in by a name and a password meanwhile; sessions that were begun before go on.",
    "Look at `--ldap-server`, the certificate, the account for searches and the bases.",
    "operate/ldap.md#if-it-fails",
  ),
  front_thread_ended: error(
    "A front thread has ended, for the reason that `reason` names: its connections were closed, and clients repeat what was under way. What was acknowledged is stored. The thread is started again, at first within a second, then after longer waits if it ends again and again.",
    "Nothing, if it was once. If it ends repeatedly, report it as a bug with `reason`; until then start with `--threads 0`.",
    THREADS,
  ),
  front_thread_silent: error(
    "A front thread has not answered for half a minute, and was ended: its connections were closed. It is started again.",
    "If the machine was not overloaded or suspended, report it as a bug, with what clients sent at that time.",
    THREADS,
  ),
  port_not_held: warn(
    "The store is being opened again, and its front threads end meanwhile: the port that `server` names refuses connections until they are there again. `reason` says why the process could not keep it.",
    "Nothing if clients repeat their requests.",
    THREADS,
  ),
  front_thread_without_key: error(
    "A front thread has no key under which the store is sealed now: the master key was rotated to one that it does not have. The thread ends, and is started again with the key of the process.",
    "If it recurs, restart the process with the master key of the store.",
    "operate/rotate-the-master-key.md",
  ),
  front_threads_off: warn(
    "The machine has cores for front threads, or `--threads` asks for them, and this Node.js cannot share a port among threads: one thread serves everything.",
    "Run the server with Node.js 22.12 or later, or with `--threads 0`.",
    "operate/front-threads.md",
  ),
  log_lines_dropped: warn(
    "What reads the log of the process did not keep up: `count` lines of this thread are missing.",
    "Look at the program that reads standard error, or log less (`--log-level warn`).",
    "operate/operate.md#logs",
  ),
  request: warn(
    "A request ended with a status of 500 or more that is the store's fault. As `info`, the same line describes any other request.",
    "Run `hayloft explain KIND` with the value of `kind`, and read `reason`. `requestId` is the `x-amz-request-id` that the client got; other lines of the log with the same id say more.",
    "operate/operate.md#logs",
  ),
  requests_cut: warn(
    "The server stopped, and requests of this port were still in progress after `--stop-timeout`, or when a second SIGTERM or SIGINT ended the wait. Their connections were closed: clients saw them broken off. `finished` requests ended in time.",
    "Nothing, if clients repeat broken requests, as SDKs do. If large uploads are cut at every restart, raise `--stop-timeout` and the time that the service manager allows.",
    "operate/operate.md#start-and-stop",
  ),
  request_failed: error(
    "A request failed for a reason that should not occur, such as a bug or encrypted bytes that were changed. The client got status 500, or the connection was closed.",
    "Report it as a bug, with `reason` and `stack`; if `reason` speaks of encrypted bytes, see `corruptSeal`. Other requests are not affected.",
    "operate/operate.md#logs",
  ),
  keys_unavailable: error(
    "A key that protects objects of this bucket is missing or does not open; `error` says which. Its encrypted objects are refused with 503. Other buckets are served. Logged once when it begins.",
    "If the bucket was erased (`hayloft bucket erase`), this is intended. Otherwise the control record is older than the key: bring back the devices that were there last, not old copies of them, and the database that belongs to them. A lost key cannot be made again.",
    "design/failure-scenarios.md#the-master-key-file-is-lost",
  ),
  sealed_record_changed: error(
    "The metadata of an encrypted object cannot be decrypted with its key: the row is not the one that was written. Requests for the object get status 500; its bytes are not returned.",
    "Find out who can write to the database or to the disks. Restore the object from a copy. If you can rule out a change from outside, report it as a bug.",
    "design/failure-scenarios.md#somebody-reads-or-changes-rows-in-the-database",
  ),
  sealed_bytes_changed: error(
    "Bytes of an encrypted object passed their checksum but do not open with its key: they are not those that were written. The read fails, and nothing wrong is returned.",
    "Find out who can write to the disks, and whether an old copy of a device was put back. Restore the object from a copy. Otherwise report it as a bug.",
    "design/failure-scenarios.md#somebody-returns-an-old-copy-of-a-device",
  ),
  wrong_secrets: warn(
    "An address sent wrong secrets of one key, token or sign-in again and again: `remote` is the address, `count` how many in a row. Its further attempts are refused for a while, longer each time; others are not affected. Logged once for each wait.",
    "If the address is that of a client of yours, correct its secret: an old one after a key was changed, or a client that signs wrongly. If not, somebody guesses: block the address in front of the store.",
    "operate/limits-and-fairness.md#wrong-secrets",
  ),
  remote_write_pending: warn(
    "A write of a bucket with write-back was acknowledged here, and the remote store does not take it now; `reason` says why. It is safe here, readers of this store see it, and it is tried again, up to once a minute. Logged once for each write.",
    "Nothing, if the remote store is only away: it gets the write when it is back. If it refuses the write, correct the key, its permissions or the quota there; `hayloft remote pending BUCKET` lists all of them with their last errors. Overwriting or deleting the object here replaces the write.",
    REMOTE,
  ),
  copies_wait: warn(
    "Changes of the bucket `bucket` do not reach the store that they are copied to; `reason` says why. They wait in the log of the bucket, and are sent after `seconds`, later up to once a minute.",
    "Nothing, if the other store is only away. Otherwise repair what `reason` names: the key in the file of --remotes, its permissions, the bucket there. A log of more than 7 days, or 10 million changes, is given up, and the bucket is copied again.",
    COPIES,
  ),
  copy_parked: warn(
    "The object `key` of the bucket `bucket` was not copied; `reason` says why. Other objects are copied meanwhile; this one is tried again, at least once an hour.",
    "`hayloft copies status BUCKET` lists such objects. Correct what `reason` names; an object with a key of its client (SSE-C) is copied once it is written without one.",
    COPIES,
  ),
  copies_left_out: warn(
    "A fill of the target of the bucket `bucket` left out `objects` objects that arrived here as copies from another store: that store may have replaced or removed them since.",
    "Nothing, if two stores copy to each other. If the target is to get back what it has lost: `hayloft copies set` with --send-back, then `hayloft copies fill`.",
    COPIES,
  ),
  copies_unchecked: warn(
    "A fill with --remove met `objects` objects in the target of the bucket `bucket` that this store does not have, and that the target did not describe: nothing says that they are copies, so they stay.",
    "Nothing, if other clients have written them with keys of their own (SSE-C). Otherwise permit s3:GetObject in the target, or repair it, and run `hayloft copies fill --remove BUCKET` again.",
    COPIES,
  ),
  copies_filled_again: warn(
    "The log of the bucket `bucket` became too long or too old while its target took nothing, and was given up: all objects are compared with the target, and sent where they differ. Copies of objects that were removed here meanwhile stay there.",
    "Repair the target: it goes on by itself. Once it follows, and this store has all that it should have, `hayloft copies fill --remove BUCKET` removes copies of what was removed here.",
    COPIES,
  ),
  remote_stores_unreadable: warn(
    "The file of --remotes was read again, as it is every few seconds, and cannot be used; `reason` says why. The remote stores stay as they were.",
    "Repair the file. It is read again without a restart, and `remote_stores_changed` in the log says what it has changed.",
    "guide/remote-buckets.md#remote-stores",
  ),
  remote_write_not_discarded: warn(
    "A write failed because the remote store did not take it, and what was stored here for it could not be removed; `reason` says why. The client was told that the write failed. Readers never see what is left.",
    "Nothing: it is removed by the next write of the key, or after a day. Until then the mode and the remote of the bucket cannot be changed.",
    REMOTE,
  ),
  object_not_encrypted: warn(
    "The job that encrypts an existing store could not encrypt this object; `reason` says why. The object can still be read, and is stored in plain text.",
    "Repair what `reason` names, or write the object again (copying it onto itself is enough); `hayloft status` shows what remains. Unreadable objects have to be deleted.",
    "operate/encrypt-at-rest.md#encrypt-an-existing-store",
  ),
  lifecycle_unreadable: error(
    "Damaged rows of a bucket kept the lifecycle pass from reading it. Nothing of the bucket is removed or moved today by its rules; the next pass tries again.",
    "Run `hayloft status`: damaged metadata is repaired from other replicas by itself. With a single metadata replica see `hayloft volume fsck FOLDER`.",
    LIFECYCLE,
  ),
  packing_stopped: error(
    "Damaged rows of a bucket kept the packing of its small objects from going on. Nothing is lost; it tries again after an hour.",
    "Run `hayloft status`: damaged metadata is repaired from other replicas by itself. With a single metadata replica see `hayloft volume fsck FOLDER`.",
    "guide/packing.md",
  ),
  lifecycle_object_skipped: error(
    "One object was left out by today's lifecycle pass, because its rows are damaged or clients changed it all the time. The next pass, tomorrow, tries again.",
    "Nothing, if `error` says that the row changed. If it says that a row is damaged, look at `metadata` in `hayloft status`.",
    LIFECYCLE,
  ),
  container_sync_waits: warn(
    "Changes of the container `bucket` do not reach the cluster that it is synchronized with; `reason` says why. They wait, and are tried again after `seconds`.",
    "Repair what `reason` names: the other cluster or the way to it; a status of 401 means that the other container is missing, or that the realm's key or the container's `X-Container-Sync-Key` differ.",
    SYNC,
  ),
  container_sync_object_waits: warn(
    "One object of a synchronized container could not be sent: the other cluster refuses it, or it cannot be read here; `reason` says why. Its change waits for the next pass; others go on.",
    "Repair what `reason` names. A static large object waits until its segments are in the other cluster; an object that is encrypted with a client's key cannot be sent.",
    SYNC,
  ),
  access_log_failed: warn(
    "Lines of the access log could not be written to `place`; `reason` says why. They wait in memory, up to 8 MiB, and are tried again every five seconds. Requests are not affected.",
    "Repair what `reason` names: a folder that does not exist, missing permissions, a full disk. The lines are written then; nothing has to be restarted.",
    "operate/access-log.md#what-to-know",
  ),
  access_log_lines_dropped: warn(
    "The access log lacks `lines` requests, whose lines could not be written in time: its file was not writable for long, or more requests ended than it could take. It is written again.",
    "See the line `access_log_failed` before this one. `hayloft_access_log_dropped_total` counts the lines.",
    "operate/access-log.md#what-to-know",
  ),
  quota_warning_level: warn(
    "What a bucket or an account stores has reached the warning level of its quota. Nothing is refused yet. Logged once when the level is reached.",
    "Delete something, or raise the quota with `hayloft quota set`; `hayloft quota show` has all figures. At the limit, writes get 403 `QuotaExceeded`.",
    "guide/quotas.md#warning-levels",
  ),
  quota_count_unfinished: error(
    "A count that a quota began or ended could not be finished for this bucket or account; `error` says why. It is tried again every minute. Until then writes that the quota concerns may be refused.",
    "Nothing, if the bucket is being deleted. Otherwise run `hayloft quota check NAME`, and with `--repair` if the figures differ.",
    "guide/quotas.md#check",
  ),
  store_clock_differs: warn(
    "The store's clock, by which object locks end, and the wall clock of this machine differ by more than an hour. Locks end by the store's clock: `message` says whether late or not. With `datedFrom`, the wall clock is behind a time that the store has confirmed, and new objects are dated from then on. Logged once a day.",
    "Check the time of the machine and NTP. If the wall clock is right and locks end late, stop all processes of the store and start them again.",
    CLOCK,
  ),
  store_clock_set_ahead: warn(
    "At this start the store's clock was set more than an hour ahead, from `from` to `to`. After a long stop that is right. If the wall clock was wrong, locks that end before `to` have ended too early, and the clock cannot be set back.",
    "Compare `to` with the true time. If it is wrong, correct the clock of the machine now, renew the retention of what must stay locked, and check NTP before each start.",
    CLOCK,
  ),
  store_clock_not_stored: warn(
    "The store's clock could not be written to the metadata. It lags behind until that works, so object locks may end late, never early.",
    "Nothing, if a device or the database was away for a moment. Otherwise repair what `reason` names. Logged once until it works again.",
    CLOCK,
  ),
} as const satisfies Record<string, LogText>
