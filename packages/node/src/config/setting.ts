/** A setting of `hayloft serve`: its sources, its default, and its text in `--help` and in docs. Pure. */
export interface Setting {
  /** If undefined: only in the environment (secrets do not belong on a command line). */
  readonly flag: string | undefined
  readonly environment: string
  /** Placeholder of the value in help; "|" between them: the possible values, which shells complete. */
  readonly value: string
  /** Several values: repeat the flag, separate by commas in the environment, use an array in the file. */
  readonly repeatable: boolean
  /** The value of the bare flag; if undefined, the flag needs a value. */
  readonly preset?: string
  /** Default as text; if undefined, `help` states the behavior without a value. */
  readonly fallback: string | undefined
  readonly help: string
  /**
   * The part that must not be shown: the value, or of a URL the passwords in it. "user": the URL has neither a user nor a query,
   * and its path is shown; one with more is refused, and is not shown.
   */
  readonly secret?: "value" | "password" | "user"
  /** The file that it names is read again when it changes; everything else takes effect at a start. */
  readonly isReread?: boolean
}

/** A setting with one value. */
export const setting = (
  flag: string | undefined,
  environment: string,
  value: string,
  fallback: string | undefined,
  help: string,
): Setting => ({ flag, environment, value, fallback, help, repeatable: false })

/** A setting with several values. */
export const list = (
  flag: string,
  environment: string,
  value: string,
  fallback: string | undefined,
  help: string,
): Setting => ({
  ...setting(flag, environment, value, fallback, help),
  repeatable: true,
})

/** A switch that is off unless it is named. */
export const toggle = (flag: string, environment: string, help: string): Setting => ({
  ...setting(flag, environment, "yes|no", "no", help),
  preset: "yes",
})
