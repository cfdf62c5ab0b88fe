/** No bucket has a history, and two objects differ between any two moments: for tests of the admin API. */
import { objectKeyOfText, parseVersionId } from "../base/ids.js"
import type { Services } from "./operation.js"

const THEN = {
  versionId: parseVersionId("0".repeat(26)),
  sizeBytes: 7,
  etag: "e",
  lastModifiedMs: 5,
  storageClass: "STANDARD",
  websiteRedirect: undefined,
} as const

const TWO_DIFFERENCES: Services["moments"] = {
  now: () => Promise.resolve(1_760_000_000_000_000),
  differences: ({ after }) =>
    Promise.resolve({
      differences: [
        after === ""
          ? { key: objectKeyOfText("a"), before: undefined, after: THEN }
          : { key: objectKeyOfText("b"), before: THEN, after: undefined },
      ],
      unchanged: { objects: 3, bytes: 21 },
      scanned: 4,
      next: after === "" ? "a" : undefined,
    }),
}

const NO_HISTORIES: Services["histories"] = {
  begin: () => Promise.resolve(),
  end: () => Promise.resolve(),
  since: () => Promise.resolve(undefined),
}

export const HISTORY_PARTS: Pick<Services, "histories" | "moments"> = {
  histories: NO_HISTORIES,
  moments: TWO_DIFFERENCES,
}
