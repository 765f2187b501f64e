// Whether a notebook around a view is dark: JupyterLab, VS Code and Colab each say so in their own way.

const isDark = () => document.body.dataset.jpThemeLight === 'false' || document.documentElement.getAttribute('theme') === 'dark'
  || ['vscode-dark', 'vscode-high-contrast'].some((name) => document.body.classList.contains(name)) && !document.body.classList.contains('vscode-high-contrast-light');

// keeps data-theme of `root` as its notebook is; returns what ends that
export function followTheme(root) {
  const look = () => { root.dataset.theme = isDark() ? 'dark' : 'light'; };
  const watcher = new MutationObserver(look);
  [document.body, document.documentElement].forEach((node) => watcher.observe(node, { attributes: true }));
  look();
  return () => watcher.disconnect();
}
