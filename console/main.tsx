/** Starts the console in its page. */
import { render } from "preact"
import { App } from "./shell/app.js"
import { startRouter } from "./shell/router.js"
import { loadSession, watchSession } from "./shell/session.js"

const root = document.getElementById("console")
if (root !== null) {
  startRouter(new AbortController().signal)
  watchSession()
  void loadSession()
  render(<App />, root)
}
