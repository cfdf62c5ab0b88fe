/** All pages of a listing of versions, one after another. */
import { walkPages } from "@hayloft/base/walk-pages.js"
import type { ListVersionsRequest, Objects, VersionsPage } from "./contract.js"

type Place = NonNullable<VersionsPage["next"]>

const FIRST: Place = { keyMarker: "", versionIdMarker: undefined }

/** From the first version on, or from behind `from`. */
export const versionPages = (
  objects: Pick<Objects, "listVersions">,
  request: Omit<ListVersionsRequest, keyof Place>,
  from: Place = FIRST,
): AsyncGenerator<VersionsPage, void> =>
  walkPages<Place, VersionsPage>(from, place => objects.listVersions({ ...request, ...place }))
