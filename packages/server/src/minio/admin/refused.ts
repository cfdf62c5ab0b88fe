/** Calls of MinIO's admin API that nothing here means the same as, with what to do instead. Pure. */

const NOT_REGISTERED =
  "Nothing is registered, and nothing is sent anywhere. hayloft doctor and hayloft support bundle say what is wrong, hayloft bench measures, hayloft top shows requests."

/** By the beginning of the path; the first that fits counts. */
const REFUSED: readonly (readonly [path: string, message: string])[] = [
  [
    "get-config-kv",
    "The settings of MinIO (mc admin config) are not those of Hayloft. hayloft config show prints its own, which hayloft serve --help explains; they are flags, variables or a file, and count from the next start on.",
  ],
  [
    "set-config-kv",
    "The settings of MinIO (mc admin config) are not those of Hayloft. Set the flag, the variable or the line of the file (hayloft serve --help), and restart the process; hayloft config validate checks them.",
  ],
  ["del-config-kv", "Remove the flag, the variable or the line of the file that sets it, and restart the process."],
  ["help-config-kv", "hayloft serve --help explains each setting; docs/guide/from-minio.md has MinIO's variables."],
  ["list-config-history-kv", "Settings have no history here: keep the file of --config in version control."],
  ["clear-config-history-kv", "Settings have no history here: keep the file of --config in version control."],
  ["restore-config-history-kv", "Settings have no history here: keep the file of --config in version control."],
  [
    "config",
    "hayloft config show prints the settings, hayloft config validate checks a file; there is none to import.",
  ],
  [
    "update",
    "Replace the program, or the tag of the image, and restart the process: it is never replaced from the net.",
  ],
  ["heal", "Repair begins by itself. hayloft repair status shows it, hayloft scrub start verifies everything now."],
  ["pools/", "Hayloft has one pool of disks. hayloft device remove empties a disk, hayloft node remove a machine."],
  [
    "rebalance/",
    "Shards move by themselves as soon as a disk is added. hayloft layout show shows it, hayloft repair pause stops it.",
  ],
  ["inspect-data", "hayloft volume inspect shows what is stored; hayloft support bundle says what is wrong."],
  ["storageinfo", "hayloft device list shows the disks."],
  ["datausageinfo", "hayloft bucket list shows what buckets use."],
  ["accountinfo", "hayloft bucket list shows what buckets use, hayloft policy simulate what a user may do."],
  ["metrics", "hayloft top shows requests and disks; all metrics are at /metrics of the admin address."],
  ["profiling/", "A profile is made with the tools of Node.js: docs/how-to/profile-a-request.md."],
  ["profile", "A profile is made with the tools of Node.js: docs/how-to/profile-a-request.md."],
  [
    "temporary-account-info",
    "Temporary credentials are not stored: hayloft why shows who asked when a request was denied.",
  ],
  ["export-iam", "Users and policies are in the metadata, whose backup hayloft backup now makes."],
  [
    "import-iam",
    "Make users and policies by hayloft user create and hayloft policy set, or by HAYLOFT_USERS at the start.",
  ],
  ["revoke-tokens", "Change the policies of the role, which counts at once, or delete it: hayloft role delete."],
  ["idp-config/ldap", "Sign-in by LDAP is set by options or variables of the server (docs/operate/ldap.md)."],
  [
    "idp-config/openid",
    "Providers are made by aws iam create-open-id-connect-provider, and listed by mc idp openid ls.",
  ],
  [
    "idp/ldap",
    "Policies are given to people and groups of a directory by hayloft ldap attach, and listed by hayloft ldap list.",
  ],
  ["idp/openid", "Temporary credentials are not stored, and so they are not listed."],
  ["list-remote-targets", "Copies to another store are set by hayloft copies set, bucket by bucket."],
  ["set-remote-target", "Copies to another store are set by hayloft copies set, bucket by bucket."],
  ["remove-remote-target", "Copies to another store end by hayloft copies remove, bucket by bucket."],
  ["replication/", "Copies to another store are shown by hayloft copies status."],
  [
    "site-replication/",
    "Sites are not replicated. Buckets are copied one by one (hayloft copies set); machines near each other are one store.",
  ],
  ["start-job", "Jobs on many objects are started by hayloft jobs start; between stores rclone copies."],
  ["list-jobs", "Jobs are listed by hayloft jobs list."],
  ["status-job", "Jobs are shown by hayloft jobs show."],
  ["describe-job", "Jobs are shown by hayloft jobs show."],
  ["cancel-job", "Jobs are cancelled by hayloft jobs cancel."],
  ["export-bucket-metadata", "The settings of a bucket are printed by hayloft bucket settings list --json."],
  ["import-bucket-metadata", "The settings of a bucket are set one by one by hayloft bucket settings set."],
  ["tier", "Data stays in this store. hayloft class set gives storage classes another redundancy."],
  ["scanner/", "hayloft jobs list and hayloft scrub status show what runs in the background."],
  ["top/locks", "No lock outlives its request."],
  ["force-unlock", "No lock outlives its request."],
  ["speedtest", "hayloft bench measures the store."],
  ["bandwidth", "hayloft top shows what buckets and accounts send and receive."],
  ["kms/", "Keys are managed by hayloft kms, or by aws kms with the admin address."],
  ["obdinfo", "hayloft doctor and hayloft support bundle say what is wrong; nothing is sent anywhere."],
  ["healthinfo", "hayloft doctor and hayloft support bundle say what is wrong; nothing is sent anywhere."],
  ["license-info", "Hayloft has the Apache License 2.0, and needs no registration."],
]

/** `mc license` and `mc support` ask for them first. */
const REGISTRATION = /^key=(?:subnet|callhome)\b/

export const messageOf = (path: string, rawQuery: string): string =>
  (REGISTRATION.test(rawQuery) ? NOT_REGISTERED : undefined) ??
  REFUSED.find(([start]) => path.startsWith(start))?.[1] ??
  "Hayloft does not have this call of MinIO's admin API. hayloft --help lists its commands; docs/reference/mc-commands.md has those of mc."
