/**
 * The frame of the console: navigation beside the current page, or the form to sign in. After a navigation the focus
 * is on the title of the page, as after a page that the browser has loaded.
 */
import { useEffect, useRef } from "preact/hooks"
import type { Session } from "../api/session-shapes.js"
import { PAGES } from "../pages.js"
import { Page } from "../parts/page.js"
import { EmptyState, ErrorState, Loading } from "../parts/states.js"
import { Toasts } from "../parts/toast.js"
import { SignInPage } from "../pages/sign-in.js"
import { Boundary } from "./boundary.js"
import { Finder } from "./finder.js"
import { Navigation } from "./navigation.js"
import { go, pathTo, place } from "./router.js"
import { loadSession, session } from "./session.js"

function NotFound() {
  return (
    <Page title="Page not found">
      <EmptyState title="The console has no page at this address">
        <a href={pathTo([PAGES[0]?.path ?? ""])}>Go to the first page</a>
      </EmptyState>
    </Page>
  )
}

function Current() {
  const { page, segments } = place.value
  const found = PAGES.find(({ path }) => path === page)
  if (found === undefined) return <NotFound />
  const { component: Component } = found
  return <Component segments={segments} />
}

/** The title of the document, and the focus on that of the page; not on the first page that is shown. */
function useTitle(key: string): void {
  const isFirst = useRef(true)
  useEffect(() => {
    const heading = document.querySelector<HTMLElement>("main h1")
    document.title = `${heading?.textContent ?? ""} · Hayloft`
    if (!isFirst.current) {
      heading?.focus()
      scrollTo(0, 0)
    }
    isFirst.current = false
  }, [key])
}

function SignedIn({ name, session: own }: { readonly name: string; readonly session: Session }) {
  const { page, segments, query } = place.value
  const key = [page, ...segments].join("/")
  useEffect(() => {
    if (page === "") go(pathTo([PAGES[0]?.path ?? ""]), { replace: true })
    // The address of objects until 2026: links and bookmarks stay.
    if (page === "objects") go(pathTo(["buckets", ...segments], Object.fromEntries(query)), { replace: true })
  }, [page])
  useTitle(key)
  return (
    <div class="frame">
      <a class="skip" href="#content" onClick={() => document.querySelector<HTMLElement>("main h1")?.focus()}>
        Skip to the content
      </a>
      <Navigation name={name} session={own} />
      <main id="content">
        <Boundary key={key}>{page === "" || page === "objects" ? <Loading /> : <Current />}</Boundary>
      </main>
      <Finder />
    </div>
  )
}

function Content() {
  const state = session.value
  switch (state.kind) {
    case "unknown":
      return <Loading what="Connecting" />
    case "failed":
      return (
        <main class="plain-page">
          <h1>Hayloft</h1>
          <ErrorState error={state.error} onRetry={() => void loadSession()} />
        </main>
      )
    case "signedOut":
      return <SignInPage state={state} />
    case "signedIn":
      return <SignedIn name={state.name} session={state.session} />
  }
}

export function App() {
  return (
    <>
      <Content />
      <Toasts />
    </>
  )
}
