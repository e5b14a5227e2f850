/** What the plan may hold: it is one JSON value, so that threads today and machines tomorrow can take it. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json | undefined }
