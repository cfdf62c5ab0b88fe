/** Records of single entries, for tests. */
import { must } from "@hayloft/base/assert.js"
import { encodeEntries, type Entry } from "./entry.js"

export const encodeEntry = (entry: Entry) => must(encodeEntries([entry])[0], "an entry has a record")
