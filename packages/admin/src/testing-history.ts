/** No bucket has a history, and two objects differ between any two moments: for tests of the admin API. */
import { objectKeyOfText, parseVersionId } from "@hayloft/base/ids.js"
import type { HISTORY_SERVICES } from "@hayloft/features/history/index.js"

type Services = ReturnType<typeof HISTORY_SERVICES.of>

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

export const HISTORY_PARTS: Services = {
  histories: NO_HISTORIES,
  moments: TWO_DIFFERENCES,
}
