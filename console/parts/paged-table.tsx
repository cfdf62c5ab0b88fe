/** A table over a list that arrives in pages: the first one is kept current by its owner, the others are loaded on request. */
import { useSignal } from "@preact/signals"
import type { ComponentChildren } from "preact"
import { addressOf, api, asApiError, type ApiError } from "../api/client.js"
import { ErrorState } from "./states.js"
import { DataTable, type Column } from "./table.js"

interface Later<Row> {
  readonly rows: readonly Row[]
  readonly next: string | undefined
}

/** Give it a `key` that changes with the list, so that later pages of another list are forgotten. */
export function PagedTable<Page extends { readonly next?: string | undefined }, Row>(props: {
  readonly path: string
  readonly query?: Readonly<Record<string, string | undefined>>
  readonly first: Page
  readonly rowsOf: (page: Page) => readonly Row[]
  readonly rowKey: (row: Row) => string
  readonly columns: readonly Column<Row>[]
  readonly caption: string
  readonly empty: ComponentChildren
}) {
  const { path, query = {}, first, rowsOf, ...table } = props
  const later = useSignal<Later<Row> | undefined>(undefined)
  const isLoading = useSignal(false)
  const error = useSignal<ApiError | undefined>(undefined)
  const next = later.value === undefined ? first.next : later.value.next
  const load = async (): Promise<void> => {
    isLoading.value = true
    error.value = undefined
    try {
      const page = await api.get<Page>(addressOf(path, { ...query, after: next }))
      later.value = { rows: [...(later.value?.rows ?? []), ...rowsOf(page)], next: page.next }
    } catch (failure) {
      error.value = asApiError(failure)
    }
    isLoading.value = false
  }
  return (
    <>
      <DataTable
        {...table}
        rows={[...rowsOf(first), ...(later.value?.rows ?? [])]}
        more={{ hasMore: next !== undefined, isLoading: isLoading.value, load: () => void load() }}
      />
      {error.value && <ErrorState error={error.value} onRetry={() => void load()} />}
    </>
  )
}
