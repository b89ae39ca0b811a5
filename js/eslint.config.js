import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["dist/", "wasm/", "plugins/", "node_modules/", "test/fixture/dist/"] },
  { files: ["src/**/*.ts"], ignores: ["src/**/*.d.ts"], extends: [tseslint.configs.recommendedTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      "no-console": "error",
      eqeqeq: "error",
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/restrict-template-expressions": "off",
    } },
);
