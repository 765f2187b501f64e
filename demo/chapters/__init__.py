"""What Gradio makes of the page below the first screen: one module a chapter, and modules for parts of them."""
