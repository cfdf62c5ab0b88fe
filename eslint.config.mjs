/**
 * Lint: ESLint's and typescript-eslint's rules that need no types, and the project's own (tools/lint/). Rules that
 * need types are in .oxlintrc.json: oxlint runs them on the native compiler, in a fraction of the time.
 *
 * There are no inline exceptions: a rule that is wrong for a kind of file is switched off here for
 * that kind, and a number that cannot be met yet stands in tools/lint/ratchet.json.
 */
import { defineConfig } from "eslint/config"
import tseslint from "typescript-eslint"
import hayloft from "./tools/lint/plugin.mjs"

const typescriptRules = {
  "@typescript-eslint/ban-ts-comment": [
    "error",
    { "ts-expect-error": true, "ts-ignore": true, "ts-nocheck": true, "ts-check": true },
  ],
  "@typescript-eslint/consistent-type-imports": ["error", { disallowTypeAnnotations: false }],
  // More parameters than this, of which some belong together: a record names them where they are passed.
  "@typescript-eslint/max-params": ["error", { max: 6 }],
  "@typescript-eslint/no-explicit-any": "error",
  "@typescript-eslint/no-namespace": ["error", { allowDeclarations: true }],
  "@typescript-eslint/no-non-null-assertion": "error",
  "@typescript-eslint/no-unused-vars": [
    "error",
    { argsIgnorePattern: "^_", varsIgnorePattern: "^_", destructuredArrayIgnorePattern: "^_" },
  ],
}

/** ESLint's own findings that are mistakes in any JavaScript. */
const soundRules = {
  ...Object.fromEntries(
    [
      "for-direction",
      "getter-return",
      "no-async-promise-executor",
      "no-class-assign",
      "no-compare-neg-zero",
      "no-cond-assign",
      "no-const-assign",
      "no-constant-binary-expression",
      "no-debugger",
      "no-delete-var",
      "no-dupe-else-if",
      "no-duplicate-case",
      "no-empty-character-class",
      "no-empty-pattern",
      "no-ex-assign",
      "no-fallthrough",
      "no-func-assign",
      "no-invalid-regexp",
      "no-irregular-whitespace",
      "no-loss-of-precision",
      "no-prototype-builtins",
      "no-regex-spaces",
      "no-self-assign",
      "no-shadow-restricted-names",
      "no-sparse-arrays",
      "no-template-curly-in-string",
      "no-unexpected-multiline",
      "no-unreachable-loop",
      "no-unsafe-finally",
      "no-unsafe-negation",
      "no-unsafe-optional-chaining",
      "no-unused-private-class-members",
      "no-useless-backreference",
      "no-useless-catch",
      "no-useless-escape",
      "no-var",
      "prefer-const",
      "require-yield",
      "use-isnan",
      "valid-typeof",
    ].map(name => [name, "error"]),
  ),
  eqeqeq: ["error", "always", { null: "ignore" }],
  "no-empty": ["error", { allowEmptyCatch: false }],
}

const plainRules = {
  ...soundRules,
  // ESLint is told to take no notice of them below; oxlint has no such setting.
  "no-warning-comments": ["error", { terms: ["eslint-disable", "oxlint-disable"], location: "anywhere" }],
  "no-restricted-syntax": [
    "error",
    { selector: "ExportDefaultDeclaration", message: "export by name: a name that can be searched" },
    { selector: "TSEnumDeclaration", message: "use an object `as const` and the union of its keys" },
  ],
}

const NODE_GLOBALS = Object.fromEntries(
  "process console Buffer URL URLSearchParams TextEncoder TextDecoder performance setTimeout clearTimeout setInterval clearInterval setImmediate AbortController AbortSignal fetch structuredClone queueMicrotask"
    .split(" ")
    .map(name => [name, "readonly"]),
)

const BROWSER_GLOBALS = Object.fromEntries(
  "window document location history navigator sessionStorage localStorage fetch URL URLSearchParams Blob File FormData Headers Request Response TextEncoder TextDecoder crypto performance setTimeout clearTimeout setInterval clearInterval requestAnimationFrame AbortController AbortSignal Event CustomEvent EventTarget HTMLElement HTMLInputElement Element Node customElements matchMedia alert confirm console XMLHttpRequest btoa atob structuredClone queueMicrotask IntersectionObserver ResizeObserver MutationObserver"
    .split(" ")
    .map(name => [name, "readonly"]),
)

export default defineConfig(
  { ignores: ["dist/", "node_modules/", "data/", ".cache/"] },
  { linterOptions: { noInlineConfig: true, reportUnusedDisableDirectives: "off" } },
  {
    files: ["**/*.ts", "**/*.tsx"],
    extends: [tseslint.configs.recommended],
    plugins: { hayloft },
    rules: {
      ...plainRules,
      ...typescriptRules,
      ...Object.fromEntries(Object.keys(hayloft.rules).map(name => [`hayloft/${name}`, "error"])),
    },
  },
  {
    files: ["**/*.ts", "**/*.tsx"],
    ignores: ["src/base/testing-properties.ts"],
    rules: {
      "no-restricted-imports": [
        "error",
        { name: "fast-check", message: "import { fc } from src/base/testing-properties.ts: its seed is fixed" },
      ],
    },
  },
  {
    files: ["tools/**/*.mjs", "site/**/*.mjs", "*.mjs"],
    languageOptions: { globals: NODE_GLOBALS },
    rules: { ...soundRules, "no-undef": "error", "no-unused-vars": ["error", { argsIgnorePattern: "^_" }] },
  },
  {
    files: ["site/**/*.js"],
    languageOptions: { globals: BROWSER_GLOBALS },
    rules: { ...soundRules, "no-undef": "error", "no-unused-vars": ["error", { argsIgnorePattern: "^_" }] },
  },
  {
    files: ["console/**/*.ts", "console/**/*.tsx"],
    rules: {
      "no-restricted-syntax": [
        ...plainRules["no-restricted-syntax"],
        {
          selector:
            "JSXAttribute[name.name='dangerouslySetInnerHTML'], MemberExpression[property.name=/^(innerHTML|outerHTML|insertAdjacentHTML)$/]",
          message: "text becomes elements by JSX only, so that no name of an object can become markup",
        },
      ],
    },
  },
)
