/**
 * Form fields over signals. Every field has a label, and may have a hint and an error, which screen readers read with it.
 */
import { useEffect, useId, useRef } from "preact/hooks"
import { useSignal, type ReadonlySignal, type Signal } from "@preact/signals"
import type { ComponentChildren } from "preact"
import { Offers, useCompletion, type Complete } from "./completion.js"

interface FieldProps {
  readonly label: string
  readonly hint?: ComponentChildren
  /** The reason why the value is not accepted. */
  readonly error?: string | undefined
}

interface Described {
  readonly id: string
  readonly "aria-describedby": string | undefined
  readonly "aria-invalid": boolean
}

function Field(props: FieldProps & { readonly children: (described: Described) => ComponentChildren }) {
  const { label, hint, error, children } = props
  const id = useId()
  const describedBy = [...(hint === undefined ? [] : [`${id}-hint`]), ...(error === undefined ? [] : [`${id}-error`])]
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children({ id, "aria-describedby": describedBy.join(" ") || undefined, "aria-invalid": error !== undefined })}
      {hint !== undefined && (
        <p id={`${id}-hint`} class="hint">
          {hint}
        </p>
      )}
      {error !== undefined && (
        <p id={`${id}-error`} class="field-error">
          {error}
        </p>
      )}
    </div>
  )
}

type TextFieldProps = FieldProps & {
  readonly value: Signal<string>
  readonly type?: "text" | "password" | "search" | "number" | "date" | "datetime-local" | "url" | "email"
  readonly placeholder?: string
  readonly isRequired?: boolean
  readonly isDisabled?: boolean
  readonly autoComplete?: string
  /** Names, paths and keys: in a font that tells similar characters apart. */
  readonly isCode?: boolean
  readonly min?: number
  readonly max?: number
  readonly step?: number | "any"
  readonly name?: string
  /** Offered while typing; any other text is accepted, too. */
  readonly suggestions?: readonly string[]
}

export function TextField(props: TextFieldProps) {
  const { value, type = "text", placeholder, isRequired = false, isDisabled = false, isCode = false, ...rest } = props
  const { label, hint, error, autoComplete = "off", suggestions, ...limits } = rest
  const list = useId()
  return (
    <Field label={label} hint={hint} error={error}>
      {described => (
        <>
          <input
            {...described}
            {...limits}
            list={suggestions === undefined ? undefined : list}
            class={isCode ? "code" : ""}
            type={type}
            value={value.value}
            placeholder={placeholder}
            required={isRequired}
            disabled={isDisabled}
            autocomplete={autoComplete}
            spellcheck={false}
            autocapitalize="off"
            onInput={event => (value.value = event.currentTarget.value)}
          />
          {suggestions && (
            <datalist id={list}>
              {suggestions.map(text => (
                <option key={text} value={text} />
              ))}
            </datalist>
          )}
        </>
      )}
    </Field>
  )
}

/** Chooses one file. `accept`: what the browser offers first, such as `.wasm`. */
export function FileField(
  props: FieldProps & {
    readonly value: Signal<File | undefined>
    readonly accept?: string
    readonly isRequired?: boolean
  },
) {
  const { value, accept, isRequired = false, ...field } = props
  return (
    <Field {...field}>
      {described => (
        <input
          {...described}
          type="file"
          accept={accept}
          required={isRequired}
          onChange={event => (value.value = event.currentTarget.files?.[0])}
        />
      )}
    </Field>
  )
}

export function TextAreaField(
  props: FieldProps & { readonly value: Signal<string>; readonly rows?: number; readonly isCode?: boolean },
) {
  const { value, rows = 4, isCode = false, ...field } = props
  return (
    <Field {...field}>
      {described => (
        <textarea
          {...described}
          class={isCode ? "code" : ""}
          rows={rows}
          spellcheck={!isCode}
          value={value.value}
          onInput={event => (value.value = event.currentTarget.value)}
        />
      )}
    </Field>
  )
}

/** A line of a text that something is wrong with. */
export interface MarkedLine {
  /** From 1. */
  readonly line: number
  readonly severity: "error" | "warning"
}

/** A text in which lines matter: they are numbered beside it, do not wrap, and may be marked. */
export function LinedTextField(
  props: FieldProps & {
    readonly value: Signal<string>
    readonly rows?: number
    readonly marks?: readonly MarkedLine[]
    /** Offers names while a string is typed. */
    readonly complete?: Complete | undefined
  },
) {
  const { value, rows = 16, marks = [], complete, ...field } = props
  const scrollTop = useSignal(0)
  const completion = useCompletion(complete, value)
  const kindOf = (line: number) => marks.find(mark => mark.line === line)?.severity ?? ""
  return (
    <Field {...field}>
      {described => (
        <div class="lined">
          <div class="line-numbers" aria-hidden="true">
            <ol style={{ transform: `translateY(-${scrollTop.value}px)` }}>
              {value.value.split("\n").map((_, index) => (
                <li key={index} class={kindOf(index + 1)}>
                  {index + 1}
                </li>
              ))}
            </ol>
          </div>
          <div class="lined-text">
            <textarea
              {...described}
              {...(complete && completionNotes(completion))}
              ref={completion.area}
              class="code"
              rows={rows}
              wrap="off"
              spellcheck={false}
              autocapitalize="off"
              value={value.value}
              onInput={event => {
                value.value = event.currentTarget.value
                completion.look()
              }}
              onKeyDown={completion.onKeyDown}
              onBlur={completion.close}
              onClick={completion.close}
              onScroll={event => (scrollTop.value = event.currentTarget.scrollTop)}
            />
            <Offers completion={completion} scrollTop={scrollTop.value} />
          </div>
        </div>
      )}
    </Field>
  )
}

/** Tells screen readers what is offered. */
const completionNotes = ({ id, offer }: ReturnType<typeof useCompletion>) => ({
  "aria-autocomplete": "list" as const,
  "aria-controls": offer && `${id}-offers`,
  "aria-activedescendant": offer && `${id}-offer-${offer.at}`,
})

export function SelectField<T extends string>(
  props: FieldProps & {
    readonly value: Signal<T>
    readonly options: readonly (readonly [value: T, title: string])[]
    readonly isDisabled?: boolean
  },
) {
  const { value, options, isDisabled = false, ...field } = props
  return (
    <Field {...field}>
      {described => (
        <select
          {...described}
          value={value.value}
          disabled={isDisabled}
          onChange={event => {
            const chosen = options.find(([option]) => option === event.currentTarget.value)
            if (chosen !== undefined) value.value = chosen[0]
          }}
        >
          {options.map(([option, title]) => (
            <option key={option} value={option}>
              {title}
            </option>
          ))}
        </select>
      )}
    </Field>
  )
}

export function CheckboxField(props: {
  readonly label: string
  readonly value: Signal<boolean>
  readonly hint?: ComponentChildren
  readonly isDisabled?: boolean
}) {
  const { label, value, hint, isDisabled = false } = props
  const id = useId()
  return (
    <div class="checkbox">
      <input
        id={id}
        type="checkbox"
        checked={value.value}
        disabled={isDisabled}
        aria-describedby={hint === undefined ? undefined : `${id}-hint`}
        onChange={event => (value.value = event.currentTarget.checked)}
      />
      <label for={id}>{label}</label>
      {hint !== undefined && (
        <p id={`${id}-hint`} class="hint">
          {hint}
        </p>
      )}
    </div>
  )
}

/** A form that Enter submits. `problem`: why it cannot be, or was not, carried out. */
export function Form(props: {
  readonly onSubmit: () => void
  readonly children: ComponentChildren
  readonly problem?: ReadonlySignal<string | undefined> | undefined
  readonly label?: string
  /** Nothing can be typed while it is sent, and until the page shows what was stored: that would be lost. */
  readonly isBusy?: boolean
}) {
  const { onSubmit, children, problem, label, isBusy = false } = props
  const alert = useRef<HTMLDivElement>(null)
  useEffect(() => {
    if (problem?.value !== undefined) alert.current?.scrollIntoView({ block: "nearest" })
  }, [problem?.value])
  return (
    <form
      class="form"
      aria-label={label}
      onSubmit={event => {
        event.preventDefault()
        onSubmit()
      }}
    >
      <fieldset class="bare" disabled={isBusy}>
        {children}
      </fieldset>
      <div ref={alert} role="alert">
        {problem?.value !== undefined && <p class="notice danger">{problem.value}</p>}
      </div>
    </form>
  )
}
