/**
 * The states of a page or a part of it: loading, empty, failed, not permitted, and shown although the latest request
 * failed. `Loaded` chooses between them, so that no page is ever blank.
 */
import type { ComponentChildren } from "preact"
import type { ApiError } from "../api/client.js"
import type { Live } from "../api/live.js"
import { Button } from "./button.js"
import { ageText } from "./format.js"
import { Icon, type IconName } from "./icon.js"
import { useNow } from "./now.js"

export function Loading({ what = "Loading" }: { readonly what?: string }) {
  return (
    <div class="state" role="status">
      <span class="spinner" aria-hidden="true" />
      <p>{what}…</p>
    </div>
  )
}

export function EmptyState(props: {
  readonly title: string
  readonly children?: ComponentChildren
  readonly icon?: IconName
}) {
  const { title, children, icon = "info" } = props
  return (
    <div class="state">
      <Icon name={icon} />
      <p class="state-title">{title}</p>
      {children}
    </div>
  )
}

function NotPermitted({ error }: { readonly error: ApiError }) {
  return (
    <EmptyState title="You may not see this" icon="safety">
      <p>{error.message}</p>
    </EmptyState>
  )
}

/** Shows why something could not be shown or done, in the words of the server. */
export function ErrorState({ error, onRetry }: { readonly error: ApiError; readonly onRetry?: () => void }) {
  if (error.status === 403) return <NotPermitted error={error} />
  return (
    <div class="state failed" role="alert">
      <Icon name="alert" />
      <p class="state-title">{error.status === 404 ? "Not found" : "This could not be loaded"}</p>
      <p>{error.message}</p>
      {error.requestId !== undefined && error.status > 0 && <p class="faint">Request {error.requestId}</p>}
      {onRetry && (
        <Button icon="refresh" onClick={onRetry}>
          Retry
        </Button>
      )}
    </div>
  )
}

function Stale({ live }: { readonly live: Live<unknown> }) {
  const now = useNow(1_000)
  const { error, atMs = now } = live
  return (
    <div class="notice warning" role="alert">
      <Icon name="alert" />
      <p>
        Could not be refreshed: {error?.message}. Shown is the state of {ageText(atMs, now)}.
      </p>
      <Button icon="refresh" isBusy={live.isFetching} onClick={live.refresh}>
        Retry
      </Button>
    </div>
  )
}

/** Shows a value as soon as it is there, and otherwise why it is not. */
export function Loaded<T>(props: {
  readonly live: Live<T>
  readonly what?: string
  readonly children: (value: T) => ComponentChildren
}) {
  const { live, what, children } = props
  const { value, error } = live
  if (value === undefined) {
    if (error !== undefined) return <ErrorState error={error} onRetry={live.refresh} />
    return <Loading {...(what === undefined ? {} : { what })} />
  }
  return (
    <>
      {error !== undefined && <Stale live={live} />}
      {children(value)}
    </>
  )
}

/** A remark within a page. */
export function Notice(props: {
  readonly kind?: "info" | "warning" | "danger" | "good"
  readonly children: ComponentChildren
}) {
  const { kind = "info", children } = props
  const icon = kind === "info" ? "info" : kind === "good" ? "check" : "alert"
  return (
    <div class={`notice ${kind}`}>
      <Icon name={icon} />
      <div>{children}</div>
    </div>
  )
}
