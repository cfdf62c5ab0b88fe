/**
 * Root key of a store of several nodes: a node that starts with another root key pair changes it in the control record,
 * and the others follow.
 *
 * Promises  Once a node has read the changed record, requests signed with the earlier pair are rejected.
 */
import type { MasterKeys, RootKey } from "@hayloft/access/index.js"
import { equalBytes } from "@hayloft/base/bytes.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { RecordManager } from "../control/record-manager.js"
import { openSecrets } from "../open/secrets.js"

/** Calls `setRoot` with the present root key, and each time the record has another one. */
export function followRootKey(
  records: Pick<RecordManager, "record" | "onChange">,
  keys: Pick<MasterKeys, "current">,
  log: Log,
  setRoot: (root: RootKey) => void,
): void {
  let sealed: Uint8Array = new Uint8Array(0)
  const follow = (record: ControlRecord): void => {
    const { secrets } = record
    if (equalBytes(secrets, sealed)) return
    sealed = secrets
    try {
      setRoot(openSecrets(record, { current: keys.current }).root)
    } catch (error) {
      log.error("root_key_unknown", { error: String(error) })
    }
  }
  follow(records.record)
  records.onChange(follow)
}
