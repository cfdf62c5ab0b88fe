/**
 * The terminal of this process, for commands that fill the screen.
 *
 * Promises  The former screen, the cursor and the mode of the keyboard return when it is closed, and when the process
 *           exits without closing it: by `process.exit`, an uncaught error, or SIGHUP.
 */
import type { Terminal } from "@hayloft/cli/io.js"

/** The other screen, without a cursor; and back. */
const [ENTER, LEAVE] = ["\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"]
/** For terminals that do not tell their size. */
const [COLUMNS_DEFAULT, ROWS_DEFAULT] = [80, 24]
const HANGUP_CODE = 129

/** Returns undefined unless both standard streams are terminals. */
export function terminalOf({ stdin, stdout }: NodeJS.Process): Terminal | undefined {
  if (!stdin.isTTY || !stdout.isTTY) return undefined
  return {
    size: () => ({ columns: stdout.columns || COLUMNS_DEFAULT, rows: stdout.rows || ROWS_DEFAULT }),
    open: onKey => {
      const take = (keys: Buffer): void => [...keys.toString("latin1")].forEach(onKey)
      const onHangup = (): void => process.exit(HANGUP_CODE)
      let isOpen = true
      const close = (): void => {
        if (!isOpen) return
        isOpen = false
        stdin.off("data", take)
        if (!stdin.destroyed) stdin.setRawMode(false).pause()
        stdout.write(LEAVE)
        process.off("exit", close)
        process.off("SIGHUP", onHangup)
      }
      process.on("exit", close)
      process.on("SIGHUP", onHangup)
      stdout.write(ENTER)
      stdin.setRawMode(true).resume().on("data", take)
      return close
    },
  }
}
