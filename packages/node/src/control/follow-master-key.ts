/**
 * Follows the master key of the record: a rotation, by this process or by another node, replaces it there.
 *
 * Promises  Once a record is in effect, the keys of this process are those under which it is sealed. Registered before
 *           whatever else follows the record. A process that has no key for it seals nothing any more, and ends.
 */
import type { MasterKeys } from "@hayloft/access/index.js"
import { equalBytes } from "@hayloft/base/bytes.js"
import { asFailure, type Failure } from "@hayloft/base/failures.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { openSecrets } from "../open/secrets.js"
import type { RecordManager } from "./record-manager.js"

/** `onLost`: called once with the reason if none of the keys opens the record. */
export function followMasterKey(
  records: Pick<RecordManager, "onChange">,
  keys: MasterKeys,
  onLost: (reason: Failure) => void,
): void {
  const follow = (record: ControlRecord): void => {
    try {
      const { current, former, next } = keys
      const opened = openSecrets(record, { current, former, next })
      keys.use(opened.masterKey, opened.formerKey)
    } catch (error) {
      const reason = asFailure(error)
      unsubscribe()
      keys.lose(reason)
      onLost(reason)
    }
  }
  const unsubscribe = records.onChange((record, before) => {
    // A record that another process or thread has sent is a copy.
    const isSame = equalBytes(record.secrets, before.secrets)
    if (!isSame || record.keyring?.previous?.number !== before.keyring?.previous?.number) follow(record)
  })
}
