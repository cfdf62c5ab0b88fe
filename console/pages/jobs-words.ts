/** The background jobs of a store in plain words. Pure. */

interface JobWords {
  readonly title: string
  readonly text: string
}

const words = (title: string, text: string): JobWords => ({ title, text })

const JOBS: Readonly<Record<string, JobWords>> = {
  repair: words("Repair", "Writes data that is missing on a disk again, and moves what is on a wrong one."),
  reencode: words("Change of redundancy", "Stores objects again under the redundancy that they should have."),
  "integrity-audit": words("Audit of all data", "Once a day checks that every object has all of its parts."),
  scrub: words("Scrub of disks", "Reads everything on the disks, and finds what has decayed."),
  "scrub metadata": words("Scrub of metadata", "Reads the metadata on the disks, and finds what has decayed."),
  "scrub log": words("Scrub of the log", "Reads the log of changes on the disks, and finds what has decayed."),
  "verify metadata": words("Check of metadata", "Checks the copies of the metadata against their checksums."),
  "compare replicas": words("Comparison of metadata", "Compares the copies of the metadata with each other."),
  replicas: words("Copies of metadata", "Keeps enough copies of the metadata, on disks that are there."),
  "metadata-backup": words("Backup of metadata", "Writes a snapshot of the metadata onto the disks."),
  "left-out-folders": words("Folders left out", "Adds a new folder whose disk failed at the start, once it works."),
  "moved-devices": words(
    "Disks that were moved",
    "Moves data once a disk is in another machine or zone, if that makes it safer.",
  ),
  returning: words("Disks that come back", "Brings a disk up to date that was away."),
  compaction: words("Compaction", "Frees the space of what was deleted or overwritten."),
  collector: words("Removal of deleted data", "Removes the data of objects that are gone."),
  orphans: words("Leftovers of crashes", "Removes what a crash left of uploads that did not end."),
  "purge-deleted": words("End of undelete", "Removes what undelete has kept until its time."),
  lifecycle: words(
    "Lifecycle rules",
    "Once a day does what the lifecycle rules of buckets say, and removes abandoned uploads.",
  ),
  packing: words("Packing", "Stores cold small objects together."),
  "append-sealing": words("Appends", "Joins short appends to blocks that are as safe as other data."),
  encrypt: words("Encryption of objects", "Encrypts the objects from before encryption was switched on."),
  "encrypt-files": words("Encryption of files", "Rewrites the files of the disks after encryption was switched on."),
  "master-key": words("Master key", "After a rotation seals access keys under the new master key."),
  keys: words("Named keys", "Rotates and deletes named keys when it is time."),
  holdings: words("Figures of buckets", "Reads once a minute what metrics show of buckets and queues."),
  "usage-history": words("History of usage", "Notes once an hour how much each bucket holds."),
  quotas: words("Quotas", "Finishes counts that a crash left, and warns of quotas above their level."),
  erasure: words("Erased buckets", "Removes buckets that are being erased."),
  "started-jobs": words("Started jobs", "Does the work of the jobs above."),
  "account-reaper": words("Deleted accounts", "Removes what accounts have that were deleted seven days ago."),
  "container-sync": words("Synchronized containers", "Sends changes of Swift containers to other clusters."),
  "collect-tombstones": words("K2V items", "Removes K2V items that were deleted ten days ago."),
  "transaction-tokens": words("Transactions", "Forgets tokens of transactions that were done a day ago."),
  "queue-expiry": words("Queues", "Removes messages whose time is over."),
}

/** A job without words of its own shows its name. */
export const wordsOfJob = (name: string): JobWords => JOBS[name] ?? { title: name, text: "" }
