/** A session around another one, to which it passes every call: for classes that do something more with some of them. */
import type { Session } from "./database.js"

export class SessionAround<Inner extends Session = Session> implements Session {
  constructor(protected readonly inner: Inner) {}

  get isOpen(): boolean {
    return this.inner.isOpen
  }

  storeId(): ReturnType<Session["storeId"]> {
    return this.inner.storeId()
  }

  claim(...request: Parameters<Session["claim"]>): ReturnType<Session["claim"]> {
    return this.inner.claim(...request)
  }

  fetch(...request: Parameters<Session["fetch"]>): ReturnType<Session["fetch"]> {
    return this.inner.fetch(...request)
  }

  snapshot<T>(work: (fetch: Session["fetch"]) => Promise<T>): Promise<T> {
    return this.inner.snapshot(work)
  }

  makeChanges(...request: Parameters<Session["makeChanges"]>): ReturnType<Session["makeChanges"]> {
    return this.inner.makeChanges(...request)
  }

  resolve(...request: Parameters<Session["resolve"]>): ReturnType<Session["resolve"]> {
    return this.inner.resolve(...request)
  }

  begin(...request: Parameters<Session["begin"]>): ReturnType<Session["begin"]> {
    return this.inner.begin(...request)
  }

  beginThread(...request: Parameters<Session["beginThread"]>): ReturnType<Session["beginThread"]> {
    return this.inner.beginThread(...request)
  }

  halt(...request: Parameters<Session["halt"]>): ReturnType<Session["halt"]> {
    return this.inner.halt(...request)
  }

  resume(...request: Parameters<Session["resume"]>): ReturnType<Session["resume"]> {
    return this.inner.resume(...request)
  }

  skipIncarnations(...request: Parameters<Session["skipIncarnations"]>): Promise<void> {
    return this.inner.skipIncarnations(...request)
  }

  closeTo(...request: Parameters<Session["closeTo"]>): ReturnType<Session["closeTo"]> {
    return this.inner.closeTo(...request)
  }

  skipTimestamps(...request: Parameters<Session["skipTimestamps"]>): Promise<void> {
    return this.inner.skipTimestamps(...request)
  }

  end(...request: Parameters<Session["end"]>): ReturnType<Session["end"]> {
    return this.inner.end(...request)
  }

  incarnations(): ReturnType<Session["incarnations"]> {
    return this.inner.incarnations()
  }

  foldCounters(...request: Parameters<Session["foldCounters"]>): ReturnType<Session["foldCounters"]> {
    return this.inner.foldCounters(...request)
  }

  clockMs(): ReturnType<Session["clockMs"]> {
    return this.inner.clockMs()
  }

  health(): ReturnType<Session["health"]> {
    return this.inner.health()
  }

  close(): Promise<void> {
    return this.inner.close()
  }
}
