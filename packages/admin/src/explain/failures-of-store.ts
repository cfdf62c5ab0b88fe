/** Failures of load, space, disks, nodes, the database and the start: nothing is wrong with the request. */
import type { FailureKind } from "@hayloft/base/failures.js"
import { text, type Text } from "./contract.js"

const WRONG_DATA = "design/failure-scenarios.md#a-disk-returns-wrong-data"
const START = "design/failure-scenarios.md#disks-are-missing-empty-swapped-or-old-at-a-start"
const MOVE = "operate/cluster.md#from-one-machine-to-several-and-back"

const LOAD = {
  tooManyInFlight: text(
    "More work waits than a limit allows: requests, calls to a disk or node, or connections; the message in the log says which. Nothing was done. SDKs repeat such requests after a second.",
    "Nothing, if it is short. If it lasts, see `queues` in `hayloft status` and `hayloft_queue_depth` for what is slow: a disk, the database, or more clients than the machine serves.",
    "operate/limits-and-fairness.md",
  ),
  rateExceeded: text(
    "The account or the key has sent more requests per second than its limit, or, as the message then says, several requests with a wrong secret came from the address of the client. `Retry-After` says when to try again.",
    "Slow the client down, or raise the limit: `hayloft account limit`, `hayloft key limit`. After wrong secrets: correct the one of the client that the log lines `wrong_secrets` name.",
    "operate/limits-and-fairness.md#what-a-client-sees",
  ),
  stopping: text(
    "This process is stopping, or is not ready yet: it is being moved or restarted, or another process runs as the same node. Nothing was done.",
    "Try again in a moment, or on another node. If it lasts, the message in `/health/ready` says what the process waits for.",
    "operate/operate.md#health",
  ),
  keyServiceUnavailable: text(
    "The request needs a key in Vault or AWS KMS, and the service does not respond, refuses the credentials, or is not configured on this node.",
    "`hayloft status` shows since when and why. Check the service, its credentials, and that every node has its settings. Objects under other keys are not affected.",
    "operate/external-keys.md#when-the-service-does-not-respond",
  ),
  remoteUnavailable: text(
    "The bucket is a bucket of another S3 store, which does not respond or breaks off. What is cached here can be read if the bucket allows it.",
    "Try again. If it lasts, check the endpoint in the file of `--remotes`, the network to it, and the other store. Other buckets are not affected.",
    "guide/remote-buckets.md#when-something-fails",
  ),
  remoteRefused: text(
    "The bucket is a bucket of another S3 store, which refuses the request or the credentials, or responds with what makes no sense.",
    "The message has the answer of the other store. Check the credentials and the region in the file of `--remotes`, the bucket's name there, and what its policy allows.",
    "guide/remote-buckets.md#when-something-fails",
  ),
  databaseUnreachable: text(
    "The database with the metadata did not answer in time. Nothing was done; the store continues by itself when it answers.",
    "Check the database and the network to it: `database` in `hayloft status`, `hayloft cluster check-database`.",
    "design/failure-scenarios.md#the-database-with-the-metadata-is-away-or-has-lost-commits",
  ),
  databaseRolledBack: text(
    "The database lacks changes that were acknowledged, so the store is halted on all nodes: nothing is read, written or removed.",
    "If a database with all changes still exists, go back to it. Otherwise start all nodes that have disks, and run `hayloft cluster reconcile`.",
    "operate/cluster.md#restore-the-database",
  ),
  peerUnreachable: text(
    "Another node does not respond to this one. The call has changed nothing there.",
    "See `hayloft node list`: if the node is `silent`, look at its process; if `unreachable`, at the network and the firewall between the two.",
    "operate/operate.md#several-nodes",
  ),
  nodeRemoved: text(
    "This node was removed from the store, so its process ends.",
    "Nothing, if that was intended. To use the machine again, start it with empty folders.",
    "operate/operate.md#several-nodes",
  ),
  incompatiblePeer: text(
    "Two nodes cannot work together: their releases are too far apart, or they belong to different stores.",
    "Upgrade one release at a time, node by node. If the stores differ, one node has the wrong database URL or address.",
    "operate/operate.md#upgrades",
  ),
  deviceFull: text(
    "The store, or a device that the data belongs on, has no space left for this. Reads and deletes go on.",
    "Delete objects, remove other files from the file system, or add a device: `hayloft device add FOLDER`. `hayloft device list` shows which device is full. If the disk of the database is full, `/health/ready` says so: only space on that disk helps.",
    "operate/operate.md#space",
  ),
} as const satisfies { readonly [kind in FailureKind]?: Text }

const DATA = {
  indeterminate: text(
    "The write may have happened or not: the disk, the node or the database failed before it could say so.",
    "Read the object before you repeat the request. For a PUT of the whole object, repeating is safe.",
    "design/consistency.md#indeterminate-writes",
  ),
  uploadAborted: text(
    "The process has registered again with the database while the body was received, so the bytes no longer belong to it and were not stored.",
    "Send the request again; SDKs do so by themselves.",
  ),
  deviceFailed: text(
    "A disk returned an error or did not respond, and the operation could not do without it. With one metadata replica left, changes stay refused until a restart.",
    "Run `hayloft status` and `hayloft device list`, and read the kernel's log. Repair or replace the disk.",
    "design/failure-scenarios.md#a-disk-dies-while-the-store-runs",
  ),
  notEnoughShards: text(
    "Fewer intact shards of a block can be read than its code needs. Either too many devices are away now, or data is lost.",
    "Bring back every disk and node that is away, in whatever state. Then see `hayloft repair status`: it names the objects that still cannot be read. Do not use `device forget` before.",
    "design/failure-scenarios.md#more-disks-are-lost-than-the-code-allows",
  ),
  corruptRow: text(
    "A row of the metadata does not match its checksum. With other metadata replicas it is read from these, and the damaged one is rebuilt.",
    "With several replicas nothing; check the disk. With one, stop the store: `hayloft volume fsck FOLDER` lists the damage, `hayloft volume give-up FOLDER` removes unreadable rows.",
    WRONG_DATA,
  ),
  corruptNeedle: text(
    "Bytes of a shard do not match their checksum: the disk returned something else than was written. They are never served.",
    "With several folders nothing: repair writes the shard again. With one, upload the object again. Suspect the disk if `DAMAGES` in `hayloft scrub status` grows.",
    WRONG_DATA,
  ),
  corruptSeal: text(
    "Encrypted bytes or rows pass their checksum but cannot be decrypted with their key: they were changed, moved or replaced. The store never returns them.",
    "Find out who can write to the disks or to the database, and whether an old copy was put back. Restore the object from a copy. If you can rule out a change from outside, report a bug.",
    "design/failure-scenarios.md#somebody-returns-an-old-copy-of-a-device",
  ),
  keysUnavailable: text(
    "A key that protects objects of the bucket is missing or does not open. Its encrypted objects get 503; other buckets are served.",
    "See `keys_unavailable` in the log for the reason. Bring back the newest devices and the right master key file; after `hayloft bucket erase` this is intended.",
    "design/failure-scenarios.md#the-master-key-file-is-lost",
  ),
  corruptLog: text(
    "The commit log is damaged in its acknowledged part, or files of an older copy stand beside newer ones. With other metadata replicas the device is left out and copies the metadata again. Otherwise the start is refused, so that nothing is lost silently.",
    "Do not delete anything. Restore the newer files of this folder, or bring back another device that has the metadata. If there is none: `hayloft rescue --from FOLDER... --to NEW`.",
    START,
  ),
  corruptRecord: text(
    "A superblock, control record or other record cannot be decoded: it is damaged, was written by a later release, or its file is gone.",
    "Pass all data folders of the store: another copy is used if one is intact. `hayloft volume inspect FILE` shows the record. If the program is older than the data, upgrade it. If no copy is intact: `hayloft rescue --from FOLDER... --to NEW`.",
    START,
  ),
  malformedFrame: text(
    "A message from another node is not well formed. The connection was closed and is opened again.",
    "Check that only nodes of the store connect to the port for nodes, and that all run neighbouring releases. If both hold, report a bug.",
    "operate/cluster.md#ports-and-firewall",
  ),
  noSuchNeedle: text(
    "A device does not have a shard that it should have. Reads use other shards, and repair writes it again.",
    "Nothing, unless objects become unreadable: see `hayloft repair status`. Many at once mean that a volume file is gone.",
    WRONG_DATA,
  ),
} as const satisfies { readonly [kind in FailureKind]?: Text }

const START_UP = {
  invalidConfig: text(
    "A setting is missing, wrong, or contradicts another; the message names it. Nothing was changed.",
    "Correct the setting (flag, variable or key of the config file) and start again.",
    "reference/cli.md#settings-of-serve",
  ),
  folderInUse: text(
    "Another process has the data folder open; the message names it.",
    "Stop that process, or use its API instead of a command for stopped stores. Never remove lock files: a process that has ended holds no lock.",
    "design/failure-scenarios.md#two-processes-use-one-folder",
  ),
  foreignDatabase: text(
    "The database is that of another store, of an earlier time of this store, or empty although the folders have data.",
    "Pass the URL of the database that belongs to these folders; for `hayloft cluster init`, an empty one. If the database is lost: `hayloft rescue`.",
    "operate/cluster.md#restore-the-database",
  ),
  metadataElsewhere: text(
    "The store keeps its metadata in another place than the start was told: on its own devices, in a database, or in a newer state of the database.",
    "Start as the message says: with `--cluster URL`, without it, or with the present URL. Do not start it on an older copy.",
    MOVE,
  ),
  foreignFolder: text(
    "A data folder does not belong to this store: it is another store's, a copy of a folder that is there too, one that was removed, one that was set back to an earlier time, one inside the folder of another device, or an empty one that replaces nothing by itself.",
    "Read which folder the message names, and start without it. To use it for this store, empty it and run `hayloft device add FOLDER` or `device replace`. Folders that were exchanged: put them back. If the message names two sides, start with the folders of the original only, and empty none before all its objects are there.",
    START,
  ),
  folderNotEmpty: text(
    "The folder has other files, or the remains of a device, so it was not made a data folder. Nothing in it was touched.",
    "Choose an empty or new folder. If the files are not needed, empty the folder yourself.",
    START,
  ),
  noSuchStore: text(
    "The start was to open an existing store (`--existing-store`), and the data folders, or the database, have none: most likely disks are not mounted. Nothing was created.",
    "Mount the disks, or correct `--data` or `--cluster`, and start again. If this is to be a new store, start it once without `--existing-store`.",
    START,
  ),
  devicesMissing: text(
    "So many devices of the store are missing at the start that it cannot know whether others continued without these. Nothing was changed.",
    "Mount the disks, pass all folders with `--data`, and start again. Only if disks are permanently gone: the command in the message (`hayloft device forget` or `replace`), first with `--dry-run`.",
    "design/failure-scenarios.md#half-of-the-disks-are-gone-the-operator-decides",
  ),
  wrongMasterKey: text(
    "The master key file is not the one of this store, or none was passed although the store needs one. Nothing was changed.",
    "Pass the right file with `--master-key-file`; during a rotation also `--next-master-key-file`. Restore it from your copy: without it encrypted objects are lost.",
    "design/failure-scenarios.md#the-master-key-file-is-lost",
  ),
  internal: text(
    "The program has met a case that should not occur: a bug. The client gets 500 `InternalError`.",
    "Find `request_failed` with the same request id in the log, and report it with `reason` and `stack`.",
    "operate/operate.md#logs",
  ),
} as const satisfies { readonly [kind in FailureKind]?: Text }

export const STORE_FAILURES = { ...LOAD, ...DATA, ...START_UP }
