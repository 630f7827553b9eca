import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["node_modules", "build"] },
  ...tseslint.configs.strict,
  {
    files: ["**/*.ts"],
    rules: {
      // lengths are checked before; the compiler cannot know
      "@typescript-eslint/no-non-null-assertion": "off",
      "no-eval": "error",
      "no-restricted-properties": [
        "error",
        { property: "innerHTML", message: "foreign text would become markup" },
        { property: "outerHTML", message: "foreign text would become markup" },
        { property: "insertAdjacentHTML", message: "foreign text would become markup" },
      ],
    },
  },
  // documents of vectors
  { files: ["test/*.ts"], rules: { "@typescript-eslint/no-explicit-any": "off" } },
);
